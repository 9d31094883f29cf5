-- A link that has expired and whose end is moved works again, and counts again: no API does that, but
-- whoever operates the service may, and nothing would tell it afterwards.
CREATE FUNCTION renew_share() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.expiry_counted := false;
    RETURN NEW;
END $$;
CREATE TRIGGER shares_renewed BEFORE UPDATE OF expires_at ON shares FOR EACH ROW
    WHEN (NEW.expiry_counted AND coalesce(NEW.expires_at > now(), true)) EXECUTE FUNCTION renew_share();
CREATE OR REPLACE TRIGGER shares_counted AFTER UPDATE OF is_active, expiry_counted, expires_at ON shares
    FOR EACH ROW WHEN ((OLD.is_active AND NOT OLD.expiry_counted) <> (NEW.is_active AND NOT NEW.expiry_counted))
    EXECUTE FUNCTION count_changed_share();
