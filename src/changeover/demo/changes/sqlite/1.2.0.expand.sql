-- 1.2.0 knows a status and notes of an order.
ALTER TABLE orders ADD COLUMN status text;

CREATE TABLE order_notes (
  id integer PRIMARY KEY,
  order_id integer NOT NULL,
  note text NOT NULL,
  created_at real NOT NULL
);

CREATE INDEX orders_status ON orders (status);
