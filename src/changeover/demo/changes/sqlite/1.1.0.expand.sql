-- 1.1.0 keeps prices in cents. Both columns stay equal while 1.0.0 can still write.
ALTER TABLE orders ADD COLUMN price_cents integer;

CREATE TRIGGER zz_orders_price_update AFTER UPDATE ON orders FOR EACH ROW
WHEN (NEW.price_cents IS NOT NULL AND NEW.price_cents IS NOT OLD.price_cents
      AND NEW.price_cents IS NOT CAST(round(CAST(NEW.price AS real) * 100) AS integer))
  OR NEW.price_cents IS NULL
  OR (NEW.price_cents IS OLD.price_cents AND NEW.price IS NOT OLD.price)
BEGIN
  UPDATE orders SET
    price = CASE WHEN NEW.price_cents IS NOT NULL AND NEW.price_cents IS NOT OLD.price_cents
      THEN printf('%d.%02d', NEW.price_cents / 100, NEW.price_cents % 100) ELSE NEW.price END,
    price_cents = CASE WHEN NEW.price_cents IS NOT NULL AND NEW.price_cents IS NOT OLD.price_cents
      THEN NEW.price_cents ELSE CAST(round(CAST(NEW.price AS real) * 100) AS integer) END
  WHERE id = NEW.id;
END;

CREATE TRIGGER zz_orders_price_insert AFTER INSERT ON orders FOR EACH ROW
WHEN NEW.price_cents IS NULL OR NEW.price = '' OR NEW.price_cents IS NOT CAST(round(CAST(NEW.price AS real) * 100) AS integer)
BEGIN
  UPDATE orders SET
    price = CASE WHEN NEW.price_cents IS NOT NULL
      THEN printf('%d.%02d', NEW.price_cents / 100, NEW.price_cents % 100) ELSE NEW.price END,
    price_cents = coalesce(NEW.price_cents, CAST(round(CAST(NEW.price AS real) * 100) AS integer))
  WHERE id = NEW.id;
END;
