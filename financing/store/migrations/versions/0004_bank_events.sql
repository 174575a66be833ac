-- Banks sign in more ways than one: their keys have names. What they say that nobody here knows is
-- counted; of what is not theirs, that it came.

ALTER TABLE bank_key ADD COLUMN name TEXT;
ALTER TABLE bank_key ADD CONSTRAINT uq_bank_key_bank_id_name UNIQUE (bank_id, name);

ALTER TABLE inbox ADD COLUMN key_id UUID;
ALTER TABLE inbox ADD CONSTRAINT fk_inbox_key_id FOREIGN KEY (key_id) REFERENCES bank_key (id);
CREATE INDEX ix_inbox_key_id ON inbox (key_id);

CREATE TABLE bank_word (
    bank_id UUID NOT NULL,
    word TEXT NOT NULL,
    times BIGINT NOT NULL,
    first_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_bank_word PRIMARY KEY (bank_id, word),
    CONSTRAINT fk_bank_word_bank_id FOREIGN KEY (bank_id) REFERENCES bank (id)
);

CREATE TABLE refused_event (
    bank_id UUID NOT NULL,
    slug TEXT NOT NULL,
    address TEXT NOT NULL,
    minute TIMESTAMP WITH TIME ZONE NOT NULL,
    times INTEGER NOT NULL,
    CONSTRAINT pk_refused_event PRIMARY KEY (bank_id, slug, address, minute),
    CONSTRAINT fk_refused_event_bank_id FOREIGN KEY (bank_id) REFERENCES bank (id)
);
CREATE INDEX ix_refused_event_address_minute ON refused_event (address, minute);

GRANT SELECT, INSERT, UPDATE ON bank_word TO financing_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON refused_event TO financing_service;
