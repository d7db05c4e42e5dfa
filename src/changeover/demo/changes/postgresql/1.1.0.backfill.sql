UPDATE orders SET price_cents = round(coalesce(nullif(price, ''), '0')::numeric * 100)::integer WHERE price_cents IS NULL;
