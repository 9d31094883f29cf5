-- outside a transaction
-- Hashes that people brought from another service and that have not been renewed yet. Every failed login
-- asks for the costliest, in these words (`photo_api.accounts.queries`).
DROP INDEX CONCURRENTLY IF EXISTS users_bcrypt;
CREATE INDEX CONCURRENTLY users_bcrypt ON users (substr(password_hash, 5, 2))
    WHERE password_hash ~ '^\$2[aby]\$(0[4-9]|1[0-4])\$';
