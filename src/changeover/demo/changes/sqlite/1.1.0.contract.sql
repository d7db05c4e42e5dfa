-- Only 1.0.0 reads and writes orders.price.
DROP TRIGGER zz_orders_price_insert;

DROP TRIGGER zz_orders_price_update;

ALTER TABLE orders DROP COLUMN price;
