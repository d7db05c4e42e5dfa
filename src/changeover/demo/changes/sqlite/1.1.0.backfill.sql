UPDATE orders SET price_cents = CAST(round(CAST(price AS real) * 100) AS integer) WHERE price_cents IS NULL;
