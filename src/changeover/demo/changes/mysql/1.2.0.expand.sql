-- 1.2.0 knows a status and notes of an order.
ALTER TABLE orders ADD COLUMN status varchar(20) NULL, ALGORITHM=INSTANT;

CREATE TABLE order_notes (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
  order_id bigint NOT NULL,
  note text NOT NULL,
  created_at double NOT NULL
) DEFAULT CHARACTER SET utf8mb4;

ALTER TABLE orders ADD INDEX orders_status (status), ALGORITHM=INPLACE, LOCK=NONE;
