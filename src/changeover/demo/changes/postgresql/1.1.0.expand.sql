-- 1.1.0 keeps prices in cents. Both columns stay equal while 1.0.0 can still write.
ALTER TABLE orders ADD COLUMN price_cents integer;

CREATE FUNCTION zz_orders_price() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  from_price integer := round(coalesce(nullif(NEW.price, ''), '0')::numeric * 100)::integer;
  new_side boolean := NEW.price_cents IS NOT NULL;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    new_side := new_side AND NEW.price_cents IS DISTINCT FROM OLD.price_cents;
  END IF;
  IF new_side THEN
    IF NEW.price_cents IS DISTINCT FROM from_price OR (TG_OP = 'INSERT' AND NEW.price = '') THEN
      NEW.price := (NEW.price_cents / 100)::text || '.' || lpad((NEW.price_cents % 100)::text, 2, '0');
    END IF;
  ELSIF NEW.price_cents IS NULL THEN
    NEW.price_cents := from_price;
  ELSIF NEW.price IS DISTINCT FROM OLD.price THEN
    NEW.price_cents := from_price;
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER zz_orders_price BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION zz_orders_price();
