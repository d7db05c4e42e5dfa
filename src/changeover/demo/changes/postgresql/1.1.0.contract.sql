-- Only 1.0.0 reads and writes orders.price.
ALTER TABLE orders ALTER COLUMN price DROP NOT NULL;

DROP TRIGGER zz_orders_price ON orders;

DROP FUNCTION zz_orders_price();

ALTER TABLE orders DROP COLUMN price;
