-- 1.1.0 keeps prices in cents. Both columns stay equal while 1.0.0 can still write.
ALTER TABLE orders ADD COLUMN price_cents integer NULL, ALGORITHM=INSTANT;

-- Before the trigger for INSERT: else a row that is inserted and changed in between would be filled, and wrong for ever.
-- BINARY: many collations take texts for equal that are not.
CREATE TRIGGER zz_orders_price_update BEFORE UPDATE ON orders FOR EACH ROW
BEGIN
  DECLARE from_price integer DEFAULT round(CAST(coalesce(nullif(NEW.price, ''), '0') AS decimal(12, 4)) * 100);
  IF NEW.price_cents IS NOT NULL AND NOT (NEW.price_cents <=> OLD.price_cents) THEN
    IF NEW.price_cents <> from_price THEN
      SET NEW.price = concat(NEW.price_cents DIV 100, '.', lpad(NEW.price_cents % 100, 2, '0'));
    END IF;
  ELSEIF NEW.price_cents IS NULL OR NOT (BINARY NEW.price <=> BINARY OLD.price) THEN
    SET NEW.price_cents = from_price;
  END IF;
END;

CREATE TRIGGER zz_orders_price_insert BEFORE INSERT ON orders FOR EACH ROW
BEGIN
  DECLARE from_price integer DEFAULT round(CAST(coalesce(nullif(NEW.price, ''), '0') AS decimal(12, 4)) * 100);
  IF NEW.price_cents IS NULL THEN
    SET NEW.price_cents = from_price;
  ELSEIF NEW.price_cents <> from_price OR BINARY NEW.price = '' THEN
    SET NEW.price = concat(NEW.price_cents DIV 100, '.', lpad(NEW.price_cents % 100, 2, '0'));
  END IF;
END;
