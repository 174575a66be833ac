-- A machine has a secret, of which we keep the digest, or a key, of which we keep the public half.

ALTER TABLE machine ALTER COLUMN secret_digest DROP NOT NULL;
ALTER TABLE machine ADD COLUMN public_key_pem TEXT;
ALTER TABLE machine ADD CONSTRAINT ck_machine_proof
    CHECK ((secret_digest IS NULL) <> (public_key_pem IS NULL));

-- Each signed statement of a machine buys one token.
CREATE TABLE machine_assertion (
    login_id UUID NOT NULL,
    jti TEXT NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_machine_assertion PRIMARY KEY (login_id, jti),
    CONSTRAINT fk_machine_assertion_login_id FOREIGN KEY (login_id) REFERENCES machine (login_id)
);

GRANT SELECT, INSERT, DELETE ON machine_assertion TO financing_service;
