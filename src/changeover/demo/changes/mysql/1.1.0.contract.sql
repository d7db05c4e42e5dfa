-- Only 1.0.0 reads and writes orders.price. Without the triggers nobody fills it: it must be one that may be left out.
ALTER TABLE orders ALTER COLUMN price SET DEFAULT '', ALGORITHM=INSTANT;

-- In the reverse order of their creation.
DROP TRIGGER zz_orders_price_insert;

DROP TRIGGER zz_orders_price_update;

ALTER TABLE orders DROP COLUMN price, ALGORITHM=INSTANT;
