-- A machine is a login that nobody can sign in with: what it does stands in the audit under its
-- own name, and what it sees is bounded like a person's of its organisation.

CREATE TABLE machine (
    login_id UUID NOT NULL,
    secret_digest BYTEA NOT NULL,
    scopes TEXT[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    retired_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_machine PRIMARY KEY (login_id),
    CONSTRAINT fk_machine_login_id FOREIGN KEY (login_id) REFERENCES login (id)
);

CREATE TABLE machine_token (
    digest BYTEA NOT NULL,
    login_id UUID NOT NULL,
    scopes TEXT[] NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_machine_token PRIMARY KEY (digest),
    CONSTRAINT fk_machine_token_login_id FOREIGN KEY (login_id) REFERENCES machine (login_id)
);
CREATE INDEX ix_machine_token_login_id ON machine_token (login_id);

CREATE TABLE machine_answer (
    login_id UUID NOT NULL,
    key TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    status SMALLINT NOT NULL,
    body BYTEA NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_machine_answer PRIMARY KEY (login_id, key),
    CONSTRAINT fk_machine_answer_login_id FOREIGN KEY (login_id) REFERENCES machine (login_id)
);
CREATE INDEX ix_machine_answer_at ON machine_answer (at);

GRANT SELECT, INSERT, UPDATE ON machine TO financing_service;
GRANT SELECT, INSERT, DELETE ON machine_token, machine_answer TO financing_service;
