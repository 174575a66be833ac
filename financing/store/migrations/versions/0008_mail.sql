-- A person may want notices by e-mail: each message and what became of it.

ALTER TABLE login ADD COLUMN email TEXT;

CREATE TABLE mail (
    id UUID NOT NULL,
    notice_id UUID NOT NULL,
    login_id UUID NOT NULL,
    address TEXT NOT NULL,
    language TEXT NOT NULL,
    message_id TEXT NOT NULL,
    queued_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE,
    outcome TEXT,
    ended_at TIMESTAMP WITH TIME ZONE,
    said TEXT,
    CONSTRAINT pk_mail PRIMARY KEY (id),
    CONSTRAINT uq_mail_notice_id_address UNIQUE (notice_id, address),
    CONSTRAINT uq_mail_message_id UNIQUE (message_id),
    CONSTRAINT ck_mail_outcome
        CHECK (outcome IN ('accepted', 'refused', 'unknown', 'given-up', 'bounced')),
    CONSTRAINT fk_mail_notice_id FOREIGN KEY (notice_id) REFERENCES notice (id),
    CONSTRAINT fk_mail_login_id FOREIGN KEY (login_id) REFERENCES login (id)
);
CREATE INDEX ix_mail_login_id ON mail (login_id);
CREATE INDEX ix_mail_queued_at ON mail (queued_at);

GRANT SELECT, INSERT, UPDATE ON mail TO financing_service;
