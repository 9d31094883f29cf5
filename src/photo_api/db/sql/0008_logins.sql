-- An e-mail as it is compared (NFKC, casefold), made by the service: PostgreSQL folds otherwise. NULL
-- in rows of the release before, until maintenance has filled it, and where two accounts collide.
ALTER TABLE users ADD COLUMN email_fold text;

-- When each attempt began whose outcome is not known yet: one whose worker died is forgotten soon.
ALTER TABLE login_attempts ADD COLUMN pending_at timestamptz[] NOT NULL DEFAULT '{}';
ALTER TABLE login_attempts DROP CONSTRAINT login_attempts_kind_check;
ALTER TABLE login_attempts ADD CONSTRAINT login_attempts_kind_check
    CHECK (kind IN ('pair', 'address', 'account', 'registration'));
