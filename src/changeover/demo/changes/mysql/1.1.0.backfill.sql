UPDATE orders SET price_cents = round(CAST(coalesce(nullif(price, ''), '0') AS decimal(12, 4)) * 100) WHERE price_cents IS NULL;
