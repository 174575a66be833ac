-- Every table and index; `financing/store/tables.py` says the same in Python.

CREATE TABLE beat (
    process TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_beat PRIMARY KEY (process)
);

CREATE TABLE blob (
    digest TEXT NOT NULL,
    bytes BYTEA NOT NULL,
    CONSTRAINT pk_blob PRIMARY KEY (digest)
);

CREATE TABLE holiday (
    day DATE NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    CONSTRAINT pk_holiday PRIMARY KEY (day)
);

CREATE TABLE import_file (
    id UUID NOT NULL,
    digest TEXT NOT NULL,
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    counts JSONB DEFAULT '{}'::jsonb NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_import_file PRIMARY KEY (id),
    CONSTRAINT uq_import_file_digest UNIQUE (digest)
);

CREATE TABLE inbox (
    id UUID NOT NULL,
    source TEXT NOT NULL,
    message_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    raw BYTEA NOT NULL,
    headers JSONB DEFAULT '{}'::jsonb NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    outcome TEXT,
    outcome_why TEXT,
    handled_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_inbox PRIMARY KEY (id),
    CONSTRAINT uq_inbox_source_message_id UNIQUE (source, message_id)
);

CREATE TABLE organisation (
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    scheme TEXT NOT NULL,
    identifier TEXT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    code TEXT,
    size TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_organisation PRIMARY KEY (id),
    CONSTRAINT uq_organisation_kind_scheme_identifier UNIQUE (kind, scheme, identifier),
    CONSTRAINT uq_organisation_code UNIQUE (code),
    CONSTRAINT ck_organisation_kind CHECK (kind IN ('supplier','purchaser','bank','bureau','platform'))
);

CREATE INDEX ix_organisation_name_key ON organisation (name_key);

CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    kind TEXT NOT NULL,
    bank TEXT DEFAULT '' NOT NULL,
    key TEXT NOT NULL,
    subject_id UUID,
    args JSONB DEFAULT '{}'::jsonb NOT NULL,
    due TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    token INTEGER DEFAULT 0 NOT NULL,
    attempt INTEGER DEFAULT 0 NOT NULL,
    died INTEGER DEFAULT 0 NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE,
    worker TEXT,
    last_error TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    done TIMESTAMP WITH TIME ZONE,
    parked TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_outbox PRIMARY KEY (id),
    CONSTRAINT uq_outbox_key UNIQUE (key)
)
 WITH (fillfactor = 70);

CREATE INDEX ix_outbox_lane ON outbox (kind, bank, due) WHERE done IS NULL AND parked IS NULL;

CREATE TABLE parked (
    id UUID NOT NULL,
    fingerprint TEXT NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    place TEXT NOT NULL,
    value TEXT NOT NULL,
    reason TEXT NOT NULL,
    remedy TEXT NOT NULL,
    raw BYTEA NOT NULL,
    state TEXT DEFAULT 'open' NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_parked PRIMARY KEY (id),
    CONSTRAINT uq_parked_fingerprint UNIQUE (fingerprint)
);

CREATE INDEX ix_parked_state_at ON parked (state, at);

CREATE TABLE release (
    id UUID NOT NULL,
    publisher TEXT NOT NULL,
    ocid TEXT NOT NULL,
    release_id TEXT NOT NULL,
    released_at TIMESTAMP WITH TIME ZONE,
    digest TEXT NOT NULL,
    raw BYTEA NOT NULL,
    source TEXT NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_release PRIMARY KEY (id),
    CONSTRAINT uq_release_publisher_ocid_digest UNIQUE (publisher, ocid, digest)
);

CREATE INDEX ix_release_publisher_ocid_released_at ON release (publisher, ocid, released_at);

CREATE TABLE store_mark (
    one BOOLEAN DEFAULT true NOT NULL,
    demo BOOLEAN NOT NULL,
    now TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_store_mark PRIMARY KEY (one),
    CONSTRAINT ck_store_mark_single CHECK (one)
);

CREATE TABLE throttle (
    subject TEXT NOT NULL,
    failures INTEGER NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_throttle PRIMARY KEY (subject)
);

CREATE TABLE transcript (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    bank TEXT NOT NULL,
    verb TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER,
    elapsed_ms INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    error TEXT,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_transcript PRIMARY KEY (id)
);

CREATE INDEX ix_transcript_bank_at ON transcript (bank, at);

CREATE TABLE bank (
    id UUID NOT NULL,
    code TEXT NOT NULL,
    adapter TEXT NOT NULL,
    base_url TEXT NOT NULL,
    poll_interval_s INTEGER NOT NULL,
    answer_days INTEGER NOT NULL,
    answer_key_pem TEXT NOT NULL,
    cursor TEXT,
    cursor_at TIMESTAMP WITH TIME ZONE,
    stopped_at TIMESTAMP WITH TIME ZONE,
    stopped_why TEXT,
    CONSTRAINT pk_bank PRIMARY KEY (id),
    CONSTRAINT uq_bank_code UNIQUE (code),
    CONSTRAINT fk_bank_id FOREIGN KEY(id) REFERENCES organisation (id)
);

CREATE TABLE bank_account (
    id UUID NOT NULL,
    organisation_id UUID NOT NULL,
    holder TEXT NOT NULL,
    holder_key TEXT NOT NULL,
    bank_name TEXT NOT NULL,
    cnaps TEXT NOT NULL,
    number_sealed BYTEA NOT NULL,
    number_index BYTEA NOT NULL,
    last4 TEXT NOT NULL,
    currency TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_bank_account PRIMARY KEY (id),
    CONSTRAINT uq_bank_account_number_index UNIQUE (number_index),
    CONSTRAINT fk_bank_account_organisation_id FOREIGN KEY(organisation_id) REFERENCES organisation (id)
);

CREATE INDEX ix_bank_account_organisation_id ON bank_account (organisation_id);

CREATE TABLE contract (
    id UUID NOT NULL,
    identity TEXT NOT NULL,
    profile TEXT NOT NULL,
    publisher TEXT NOT NULL,
    ocid TEXT NOT NULL,
    number TEXT NOT NULL,
    number_key TEXT NOT NULL,
    number_search TEXT NOT NULL,
    title TEXT NOT NULL,
    purchaser_id UUID NOT NULL,
    supplier_id UUID NOT NULL,
    current_version_id UUID,
    record_version INTEGER NOT NULL,
    amount_fen BIGINT,
    currency TEXT NOT NULL,
    award_fen BIGINT,
    award_on DATE,
    signed_on DATE,
    filed_on DATE,
    announced_on DATE,
    delivered_on DATE,
    accepted_on DATE,
    ends_on DATE,
    held_fen BIGINT NOT NULL,
    open_fen BIGINT NOT NULL,
    financeable BOOLEAN,
    sentence JSONB DEFAULT '{}'::jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_contract PRIMARY KEY (id),
    CONSTRAINT uq_contract_identity UNIQUE (identity),
    CONSTRAINT ck_contract_not_negative CHECK (held_fen >= 0 AND open_fen >= 0),
    CONSTRAINT fk_contract_purchaser_id FOREIGN KEY(purchaser_id) REFERENCES organisation (id),
    CONSTRAINT fk_contract_supplier_id FOREIGN KEY(supplier_id) REFERENCES organisation (id),
    CONSTRAINT ck_contract_state CHECK (state IN ('accepted', 'awarded', 'paid', 'performing', 'signed', 'terminated'))
);

CREATE INDEX ix_contract_number_key ON contract (number_key);

CREATE INDEX ix_contract_number_search ON contract (number_search);

CREATE INDEX ix_contract_publisher_ocid ON contract (publisher, ocid);

CREATE INDEX ix_contract_purchaser_id ON contract (purchaser_id);

CREATE INDEX ix_contract_supplier_id ON contract (supplier_id);

CREATE TABLE login (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    person TEXT NOT NULL,
    language TEXT DEFAULT 'zh' NOT NULL,
    organisation_id UUID NOT NULL,
    disabled BOOLEAN DEFAULT false NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_login PRIMARY KEY (id),
    CONSTRAINT uq_login_name UNIQUE (name),
    CONSTRAINT fk_login_organisation_id FOREIGN KEY(organisation_id) REFERENCES organisation (id)
);

CREATE INDEX ix_login_organisation_id ON login (organisation_id);

CREATE TABLE altered_copy (
    id UUID NOT NULL,
    contract_id UUID NOT NULL,
    release_id UUID NOT NULL,
    digest TEXT NOT NULL,
    facts JSONB DEFAULT '{}'::jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_altered_copy PRIMARY KEY (id),
    CONSTRAINT uq_altered_copy_contract_id_digest UNIQUE (contract_id, digest),
    CONSTRAINT fk_altered_copy_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id),
    CONSTRAINT fk_altered_copy_release_id FOREIGN KEY(release_id) REFERENCES release (id)
);

CREATE INDEX ix_altered_copy_contract_id ON altered_copy (contract_id);

CREATE INDEX ix_altered_copy_release_id ON altered_copy (release_id);

CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    kind TEXT NOT NULL,
    "case" UUID NOT NULL,
    n INTEGER NOT NULL,
    event TEXT NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    body BYTEA NOT NULL,
    salt BYTEA NOT NULL,
    commitment BYTEA NOT NULL,
    login_id UUID,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_audit PRIMARY KEY (id),
    CONSTRAINT uq_audit_case_n UNIQUE ("case", n),
    CONSTRAINT fk_audit_login_id FOREIGN KEY(login_id) REFERENCES login (id)
);

CREATE TABLE bank_key (
    id UUID NOT NULL,
    bank_id UUID NOT NULL,
    kind TEXT NOT NULL,
    material BYTEA NOT NULL,
    live_from TIMESTAMP WITH TIME ZONE NOT NULL,
    live_to TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_bank_key PRIMARY KEY (id),
    CONSTRAINT fk_bank_key_bank_id FOREIGN KEY(bank_id) REFERENCES bank (id)
);

CREATE INDEX ix_bank_key_bank_id ON bank_key (bank_id);

CREATE TABLE check_result (
    contract_id UUID NOT NULL,
    check_id TEXT NOT NULL,
    position SMALLINT NOT NULL,
    result TEXT NOT NULL,
    blocks BOOLEAN NOT NULL,
    seen JSONB DEFAULT '{}'::jsonb NOT NULL,
    source TEXT NOT NULL,
    remedy JSONB DEFAULT '{}'::jsonb NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_check_result PRIMARY KEY (contract_id, check_id),
    CONSTRAINT ck_check_result_result CHECK (result IN ('pass','fail','unknown','not-applicable')),
    CONSTRAINT fk_check_result_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id)
);

CREATE TABLE contract_version (
    id UUID NOT NULL,
    contract_id UUID NOT NULL,
    n INTEGER NOT NULL,
    release_id UUID NOT NULL,
    released_at TIMESTAMP WITH TIME ZONE,
    digest TEXT NOT NULL,
    facts JSONB DEFAULT '{}'::jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_contract_version PRIMARY KEY (id),
    CONSTRAINT uq_contract_version_contract_id_n UNIQUE (contract_id, n),
    CONSTRAINT uq_contract_version_contract_id_digest UNIQUE (contract_id, digest),
    CONSTRAINT fk_contract_version_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id),
    CONSTRAINT fk_contract_version_release_id FOREIGN KEY(release_id) REFERENCES release (id)
);

CREATE INDEX ix_contract_version_contract_id ON contract_version (contract_id);

CREATE INDEX ix_contract_version_release_id ON contract_version (release_id);

CREATE TABLE entry (
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    key BYTEA NOT NULL,
    ordinal INTEGER NOT NULL,
    amount_fen BIGINT NOT NULL,
    currency TEXT NOT NULL,
    booking_on DATE NOT NULL,
    value_on DATE NOT NULL,
    is_reversal BOOLEAN NOT NULL,
    status TEXT DEFAULT 'booked' NOT NULL,
    bank_ref TEXT,
    end_to_end TEXT,
    counterparty TEXT,
    counterparty_key TEXT,
    remittance TEXT NOT NULL,
    search TEXT NOT NULL,
    details JSONB DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT pk_entry PRIMARY KEY (id),
    CONSTRAINT uq_entry_account_id_key_ordinal UNIQUE (account_id, key, ordinal),
    CONSTRAINT ck_entry_status CHECK (status IN ('booked','pending','information')),
    CONSTRAINT fk_entry_account_id FOREIGN KEY(account_id) REFERENCES bank_account (id)
);

CREATE INDEX ix_entry_account_id ON entry (account_id);

CREATE TABLE form_key (
    key TEXT NOT NULL,
    login_id UUID NOT NULL,
    path TEXT NOT NULL,
    body_digest TEXT NOT NULL,
    location TEXT,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_form_key PRIMARY KEY (key),
    CONSTRAINT fk_form_key_login_id FOREIGN KEY(login_id) REFERENCES login (id)
);

CREATE INDEX ix_form_key_login_id ON form_key (login_id);

CREATE TABLE milestone (
    id UUID NOT NULL,
    contract_id UUID NOT NULL,
    code TEXT NOT NULL,
    title TEXT NOT NULL,
    position INTEGER NOT NULL,
    amount_fen BIGINT NOT NULL,
    retention_fen BIGINT NOT NULL,
    advance_fen BIGINT NOT NULL,
    due_on DATE,
    delivered_on DATE,
    accepted_on DATE,
    CONSTRAINT pk_milestone PRIMARY KEY (id),
    CONSTRAINT uq_milestone_contract_id_code UNIQUE (contract_id, code),
    CONSTRAINT fk_milestone_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id)
);

CREATE INDEX ix_milestone_contract_id ON milestone (contract_id);

CREATE TABLE notice (
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    organisation_id UUID NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id UUID NOT NULL,
    contract_id UUID,
    facts JSONB DEFAULT '{}'::jsonb NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    delivered_at TIMESTAMP WITH TIME ZONE,
    opened_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_notice PRIMARY KEY (id),
    CONSTRAINT uq_notice_key UNIQUE (key),
    CONSTRAINT fk_notice_organisation_id FOREIGN KEY(organisation_id) REFERENCES organisation (id),
    CONSTRAINT fk_notice_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id)
);

CREATE INDEX ix_notice_contract_id ON notice (contract_id);

CREATE INDEX ix_notice_organisation_id ON notice (organisation_id);

CREATE INDEX ix_notice_organisation_id_at ON notice (organisation_id, at);

CREATE TABLE product (
    id UUID NOT NULL,
    bank_id UUID NOT NULL,
    code TEXT NOT NULL,
    name JSONB DEFAULT '{}'::jsonb NOT NULL,
    share_bp INTEGER NOT NULL,
    min_fen BIGINT NOT NULL,
    cap_fen BIGINT NOT NULL,
    tenor_min_days INTEGER NOT NULL,
    tenor_max_days INTEGER NOT NULL,
    rate_from_bp TEXT NOT NULL,
    rate_to_bp TEXT NOT NULL,
    day_basis TEXT NOT NULL,
    currency TEXT NOT NULL,
    valid_from DATE NOT NULL,
    valid_to DATE,
    CONSTRAINT pk_product PRIMARY KEY (id),
    CONSTRAINT uq_product_bank_id_code_currency UNIQUE (bank_id, code, currency),
    CONSTRAINT fk_product_bank_id FOREIGN KEY(bank_id) REFERENCES bank (id)
);

CREATE INDEX ix_product_bank_id ON product (bank_id);

CREATE TABLE published_payment (
    id UUID NOT NULL,
    contract_id UUID NOT NULL,
    code TEXT NOT NULL,
    amount_fen BIGINT NOT NULL,
    currency TEXT NOT NULL,
    paid_on DATE,
    payer_name TEXT NOT NULL,
    CONSTRAINT pk_published_payment PRIMARY KEY (id),
    CONSTRAINT uq_published_payment_contract_id_code UNIQUE (contract_id, code),
    CONSTRAINT fk_published_payment_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id)
);

CREATE INDEX ix_published_payment_contract_id ON published_payment (contract_id);

CREATE TABLE session (
    digest BYTEA NOT NULL,
    login_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_session PRIMARY KEY (digest),
    CONSTRAINT fk_session_login_id FOREIGN KEY(login_id) REFERENCES login (id)
);

CREATE INDEX ix_session_login_id ON session (login_id);

CREATE TABLE statement (
    id UUID NOT NULL,
    file_id UUID NOT NULL,
    account_id UUID NOT NULL,
    format TEXT NOT NULL,
    message_id TEXT NOT NULL,
    account_type TEXT DEFAULT '' NOT NULL,
    sequence TEXT,
    opening_fen BIGINT,
    closing_fen BIGINT,
    opening_on DATE,
    closing_on DATE,
    currency TEXT NOT NULL,
    lines INTEGER NOT NULL,
    holds BOOLEAN,
    marks JSONB DEFAULT '{}'::jsonb NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_statement PRIMARY KEY (id),
    CONSTRAINT fk_statement_file_id FOREIGN KEY(file_id) REFERENCES import_file (id),
    CONSTRAINT fk_statement_account_id FOREIGN KEY(account_id) REFERENCES bank_account (id)
);

CREATE INDEX ix_statement_account_id ON statement (account_id);

CREATE INDEX ix_statement_file_id ON statement (file_id);

CREATE TABLE telling (
    id UUID NOT NULL,
    contract_id UUID NOT NULL,
    supplier_id UUID NOT NULL,
    kind TEXT NOT NULL,
    channel TEXT NOT NULL,
    text_version TEXT NOT NULL,
    text_digest TEXT NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_telling PRIMARY KEY (id),
    CONSTRAINT uq_telling_contract_id_kind_channel UNIQUE (contract_id, kind, channel),
    CONSTRAINT fk_telling_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id),
    CONSTRAINT fk_telling_supplier_id FOREIGN KEY(supplier_id) REFERENCES organisation (id)
);

CREATE INDEX ix_telling_contract_id ON telling (contract_id);

CREATE INDEX ix_telling_supplier_id ON telling (supplier_id);

CREATE TABLE confirmation (
    id UUID NOT NULL,
    contract_id UUID NOT NULL,
    contract_version_id UUID NOT NULL,
    shown_digest TEXT NOT NULL,
    shown JSONB DEFAULT '{}'::jsonb NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    due_on DATE,
    answered_at TIMESTAMP WITH TIME ZONE,
    answered_by UUID,
    paid_fen BIGINT,
    note TEXT DEFAULT '' NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_confirmation PRIMARY KEY (id),
    CONSTRAINT fk_confirmation_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id),
    CONSTRAINT fk_confirmation_contract_version_id FOREIGN KEY(contract_version_id) REFERENCES contract_version (id),
    CONSTRAINT fk_confirmation_answered_by FOREIGN KEY(answered_by) REFERENCES login (id),
    CONSTRAINT ck_confirmation_state CHECK (state IN ('asked', 'confirmed', 'expired', 'refused'))
);

CREATE INDEX ix_confirmation_answered_by ON confirmation (answered_by);

CREATE INDEX ix_confirmation_contract_id ON confirmation (contract_id);

CREATE INDEX ix_confirmation_contract_version_id ON confirmation (contract_version_id);

CREATE UNIQUE INDEX uq_confirmation_open ON confirmation (contract_id) WHERE state = 'asked';

CREATE TABLE consent (
    id UUID NOT NULL,
    contract_id UUID NOT NULL,
    contract_version_id UUID NOT NULL,
    bank_id UUID NOT NULL,
    supplier_id UUID NOT NULL,
    text_version TEXT NOT NULL,
    text_digest TEXT NOT NULL,
    given_by UUID,
    given_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_consent PRIMARY KEY (id),
    CONSTRAINT fk_consent_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id),
    CONSTRAINT fk_consent_contract_version_id FOREIGN KEY(contract_version_id) REFERENCES contract_version (id),
    CONSTRAINT fk_consent_bank_id FOREIGN KEY(bank_id) REFERENCES bank (id),
    CONSTRAINT fk_consent_supplier_id FOREIGN KEY(supplier_id) REFERENCES organisation (id),
    CONSTRAINT fk_consent_given_by FOREIGN KEY(given_by) REFERENCES login (id)
);

CREATE INDEX ix_consent_bank_id ON consent (bank_id);

CREATE INDEX ix_consent_contract_id ON consent (contract_id);

CREATE INDEX ix_consent_contract_version_id ON consent (contract_version_id);

CREATE INDEX ix_consent_given_by ON consent (given_by);

CREATE INDEX ix_consent_supplier_id ON consent (supplier_id);

CREATE TABLE entry_source (
    entry_id UUID NOT NULL,
    statement_id UUID NOT NULL,
    place TEXT NOT NULL,
    is_booked BOOLEAN NOT NULL,
    raw BYTEA NOT NULL,
    CONSTRAINT pk_entry_source PRIMARY KEY (entry_id, statement_id),
    CONSTRAINT fk_entry_source_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id),
    CONSTRAINT fk_entry_source_statement_id FOREIGN KEY(statement_id) REFERENCES statement (id)
);

CREATE INDEX ix_entry_source_statement_id ON entry_source (statement_id);

CREATE TABLE application (
    id UUID NOT NULL,
    contract_id UUID NOT NULL,
    contract_version_id UUID NOT NULL,
    bank_id UUID NOT NULL,
    supplier_id UUID NOT NULL,
    product_id UUID NOT NULL,
    amount_fen BIGINT NOT NULL,
    currency TEXT NOT NULL,
    tenor_days INTEGER NOT NULL,
    consent_id UUID,
    packet_id UUID,
    request_id UUID,
    bank_reference TEXT,
    sequence INTEGER DEFAULT 0 NOT NULL,
    bank_status TEXT,
    reason_code TEXT,
    reason_text TEXT,
    needs JSONB DEFAULT '{}'::jsonb NOT NULL,
    never_seen INTEGER DEFAULT 0 NOT NULL,
    never_seen_at TIMESTAMP WITH TIME ZONE,
    hold_at TIMESTAMP WITH TIME ZONE,
    hold_why TEXT,
    submitted_at TIMESTAMP WITH TIME ZONE,
    decided_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_application PRIMARY KEY (id),
    CONSTRAINT ck_application_amount CHECK (amount_fen > 0),
    CONSTRAINT ck_application_consent CHECK (state = 'draft' OR consent_id IS NOT NULL),
    CONSTRAINT fk_application_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id),
    CONSTRAINT fk_application_contract_version_id FOREIGN KEY(contract_version_id) REFERENCES contract_version (id),
    CONSTRAINT fk_application_bank_id FOREIGN KEY(bank_id) REFERENCES bank (id),
    CONSTRAINT fk_application_supplier_id FOREIGN KEY(supplier_id) REFERENCES organisation (id),
    CONSTRAINT fk_application_product_id FOREIGN KEY(product_id) REFERENCES product (id),
    CONSTRAINT fk_application_consent_id FOREIGN KEY(consent_id) REFERENCES consent (id),
    CONSTRAINT uq_application_request_id UNIQUE (request_id),
    CONSTRAINT ck_application_state CHECK (state IN ('accepted', 'action-required', 'asking', 'closed', 'contracted', 'declined', 'draft', 'drawn', 'expired', 'failed', 'locked', 'offered', 'refused', 'reviewing', 'sending', 'stale', 'submitted', 'withdrawn'))
);

CREATE INDEX ix_application_bank_id ON application (bank_id);

CREATE INDEX ix_application_consent_id ON application (consent_id);

CREATE INDEX ix_application_contract_id ON application (contract_id);

CREATE INDEX ix_application_contract_version_id ON application (contract_version_id);

CREATE INDEX ix_application_packet_id ON application (packet_id);

CREATE INDEX ix_application_product_id ON application (product_id);

CREATE INDEX ix_application_supplier_id ON application (supplier_id);

CREATE UNIQUE INDEX uq_application_live ON application (contract_version_id, bank_id) WHERE state NOT IN ('refused','declined','expired','withdrawn','stale','failed','closed');

CREATE TABLE account_version (
    id UUID NOT NULL,
    contract_id UUID NOT NULL,
    n INTEGER NOT NULL,
    account_id UUID NOT NULL,
    salt TEXT NOT NULL,
    digest TEXT NOT NULL,
    from_on DATE,
    to_on DATE,
    locked_by UUID,
    is_holder_verified BOOLEAN,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_account_version PRIMARY KEY (id),
    CONSTRAINT uq_account_version_contract_id_n UNIQUE (contract_id, n),
    CONSTRAINT fk_account_version_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id),
    CONSTRAINT fk_account_version_account_id FOREIGN KEY(account_id) REFERENCES bank_account (id),
    CONSTRAINT fk_account_version_locked_by FOREIGN KEY(locked_by) REFERENCES application (id),
    CONSTRAINT ck_account_version_state CHECK (state IN ('active', 'locked', 'proposed', 'rejected'))
);

CREATE INDEX ix_account_version_account_id ON account_version (account_id);

CREATE INDEX ix_account_version_contract_id ON account_version (contract_id);

CREATE INDEX ix_account_version_locked_by ON account_version (locked_by);

CREATE UNIQUE INDEX uq_account_version_in_force ON account_version (contract_id) WHERE state IN ('active','locked');

CREATE TABLE claim (
    id UUID NOT NULL,
    contract_id UUID NOT NULL,
    application_id UUID NOT NULL,
    loan_fen BIGINT NOT NULL,
    share_bp INTEGER NOT NULL,
    held_fen BIGINT NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_claim PRIMARY KEY (id),
    CONSTRAINT ck_claim_not_negative CHECK (held_fen >= 0),
    CONSTRAINT fk_claim_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id),
    CONSTRAINT fk_claim_application_id FOREIGN KEY(application_id) REFERENCES application (id),
    CONSTRAINT ck_claim_state CHECK (state IN ('discharged', 'held', 'released'))
);

CREATE INDEX ix_claim_application_id ON claim (application_id);

CREATE INDEX ix_claim_contract_id ON claim (contract_id);

CREATE UNIQUE INDEX uq_claim_live ON claim (application_id) WHERE state = 'held';

CREATE TABLE offer (
    id UUID NOT NULL,
    application_id UUID NOT NULL,
    reference TEXT NOT NULL,
    revision INTEGER NOT NULL,
    amount_fen BIGINT NOT NULL,
    currency TEXT NOT NULL,
    rate_bp TEXT NOT NULL,
    day_basis TEXT NOT NULL,
    tenor_days INTEGER NOT NULL,
    repayment TEXT NOT NULL,
    fees_fen BIGINT NOT NULL,
    terms JSONB DEFAULT '{}'::jsonb NOT NULL,
    digest TEXT NOT NULL,
    valid_until TIMESTAMP WITH TIME ZONE NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_offer PRIMARY KEY (id),
    CONSTRAINT uq_offer_application_id_reference_revision UNIQUE (application_id, reference, revision),
    CONSTRAINT fk_offer_application_id FOREIGN KEY(application_id) REFERENCES application (id),
    CONSTRAINT ck_offer_state CHECK (state IN ('accepted', 'declined', 'expired', 'open', 'replaced', 'withdrawn'))
);

CREATE INDEX ix_offer_application_id ON offer (application_id);

CREATE UNIQUE INDEX uq_offer_open ON offer (application_id) WHERE state = 'open';

CREATE TABLE packet (
    id UUID NOT NULL,
    application_id UUID NOT NULL,
    contract_version_id UUID NOT NULL,
    identity TEXT NOT NULL,
    manifest BYTEA NOT NULL,
    signature BYTEA NOT NULL,
    supersedes_id UUID,
    account_digest TEXT NOT NULL,
    issued_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_packet PRIMARY KEY (id),
    CONSTRAINT uq_packet_identity UNIQUE (identity),
    CONSTRAINT fk_packet_application_id FOREIGN KEY(application_id) REFERENCES application (id),
    CONSTRAINT fk_packet_contract_version_id FOREIGN KEY(contract_version_id) REFERENCES contract_version (id),
    CONSTRAINT fk_packet_supersedes_id FOREIGN KEY(supersedes_id) REFERENCES packet (id)
);

CREATE INDEX ix_packet_application_id ON packet (application_id);

CREATE INDEX ix_packet_contract_version_id ON packet (contract_version_id);

CREATE INDEX ix_packet_supersedes_id ON packet (supersedes_id);

CREATE TABLE account_consent (
    id UUID NOT NULL,
    account_version_id UUID NOT NULL,
    role TEXT NOT NULL,
    digest TEXT NOT NULL,
    login_id UUID,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_account_consent PRIMARY KEY (id),
    CONSTRAINT uq_account_consent_account_version_id_role UNIQUE (account_version_id, role),
    CONSTRAINT fk_account_consent_account_version_id FOREIGN KEY(account_version_id) REFERENCES account_version (id),
    CONSTRAINT fk_account_consent_login_id FOREIGN KEY(login_id) REFERENCES login (id)
);

CREATE INDEX ix_account_consent_account_version_id ON account_consent (account_version_id);

CREATE INDEX ix_account_consent_login_id ON account_consent (login_id);

CREATE TABLE loan (
    id UUID NOT NULL,
    application_id UUID NOT NULL,
    offer_id UUID NOT NULL,
    contract_id UUID NOT NULL,
    bank_id UUID NOT NULL,
    reference TEXT,
    principal_fen BIGINT NOT NULL,
    currency TEXT NOT NULL,
    rate_bp TEXT NOT NULL,
    day_basis TEXT NOT NULL,
    drawn_fen BIGINT NOT NULL,
    signed_on DATE,
    due_on DATE,
    interest_from DATE,
    bank_settled_on DATE,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_loan PRIMARY KEY (id),
    CONSTRAINT uq_loan_application_id UNIQUE (application_id),
    CONSTRAINT ck_loan_drawn CHECK (drawn_fen >= 0 AND drawn_fen <= principal_fen),
    CONSTRAINT fk_loan_application_id FOREIGN KEY(application_id) REFERENCES application (id),
    CONSTRAINT fk_loan_offer_id FOREIGN KEY(offer_id) REFERENCES offer (id),
    CONSTRAINT fk_loan_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id),
    CONSTRAINT fk_loan_bank_id FOREIGN KEY(bank_id) REFERENCES bank (id),
    CONSTRAINT ck_loan_state CHECK (state IN ('active', 'cancelled', 'overdue', 'repaying', 'settled', 'signed', 'written-off'))
);

CREATE INDEX ix_loan_application_id ON loan (application_id);

CREATE INDEX ix_loan_bank_id ON loan (bank_id);

CREATE INDEX ix_loan_contract_id ON loan (contract_id);

CREATE INDEX ix_loan_offer_id ON loan (offer_id);

CREATE TABLE packet_part (
    packet_id UUID NOT NULL,
    position SMALLINT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    digest TEXT NOT NULL,
    CONSTRAINT pk_packet_part PRIMARY KEY (packet_id, position),
    CONSTRAINT fk_packet_part_packet_id FOREIGN KEY(packet_id) REFERENCES packet (id),
    CONSTRAINT fk_packet_part_digest FOREIGN KEY(digest) REFERENCES blob (digest)
);

CREATE INDEX ix_packet_part_digest ON packet_part (digest);

CREATE TABLE payment (
    id UUID NOT NULL,
    entry_id UUID,
    part SMALLINT DEFAULT 1 NOT NULL,
    account_id UUID NOT NULL,
    contract_id UUID,
    account_version_id UUID,
    reversed_by UUID,
    amount_fen BIGINT NOT NULL,
    currency TEXT NOT NULL,
    value_on DATE NOT NULL,
    payer TEXT NOT NULL,
    payer_key TEXT DEFAULT '' NOT NULL,
    search TEXT DEFAULT '' NOT NULL,
    numbers TEXT[] DEFAULT '{}' NOT NULL,
    rule TEXT,
    score SMALLINT,
    candidates JSONB DEFAULT '{}'::jsonb NOT NULL,
    outcome TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_payment PRIMARY KEY (id),
    CONSTRAINT uq_payment_entry_id_part UNIQUE (entry_id, part),
    CONSTRAINT ck_payment_amount CHECK (amount_fen > 0),
    CONSTRAINT fk_payment_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id),
    CONSTRAINT fk_payment_account_id FOREIGN KEY(account_id) REFERENCES bank_account (id),
    CONSTRAINT fk_payment_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id),
    CONSTRAINT fk_payment_account_version_id FOREIGN KEY(account_version_id) REFERENCES account_version (id),
    CONSTRAINT fk_payment_reversed_by FOREIGN KEY(reversed_by) REFERENCES entry (id),
    CONSTRAINT ck_payment_state CHECK (state IN ('allocated', 'diverted', 'exception', 'matched', 'resolved', 'reversed', 'unmatched'))
);

CREATE INDEX ix_payment_account_id ON payment (account_id);

CREATE INDEX ix_payment_account_version_id ON payment (account_version_id);

CREATE INDEX ix_payment_contract_id ON payment (contract_id);

CREATE INDEX ix_payment_entry_id ON payment (entry_id);

CREATE INDEX ix_payment_reversed_by ON payment (reversed_by);

CREATE TABLE bank_repayment (
    id UUID NOT NULL,
    loan_id UUID NOT NULL,
    flow_reference TEXT NOT NULL,
    amount_fen BIGINT NOT NULL,
    principal_fen BIGINT NOT NULL,
    interest_fen BIGINT NOT NULL,
    fees_fen BIGINT NOT NULL,
    "on" DATE NOT NULL,
    CONSTRAINT pk_bank_repayment PRIMARY KEY (id),
    CONSTRAINT uq_bank_repayment_loan_id_flow_reference UNIQUE (loan_id, flow_reference),
    CONSTRAINT fk_bank_repayment_loan_id FOREIGN KEY(loan_id) REFERENCES loan (id)
);

CREATE INDEX ix_bank_repayment_loan_id ON bank_repayment (loan_id);

CREATE TABLE drawdown (
    id UUID NOT NULL,
    loan_id UUID NOT NULL,
    flow_reference TEXT NOT NULL,
    amount_fen BIGINT NOT NULL,
    "on" DATE NOT NULL,
    CONSTRAINT pk_drawdown PRIMARY KEY (id),
    CONSTRAINT uq_drawdown_loan_id_flow_reference UNIQUE (loan_id, flow_reference),
    CONSTRAINT fk_drawdown_loan_id FOREIGN KEY(loan_id) REFERENCES loan (id)
);

CREATE INDEX ix_drawdown_loan_id ON drawdown (loan_id);

CREATE TABLE ledger (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    book TEXT NOT NULL,
    subject_id UUID NOT NULL,
    event_id UUID NOT NULL,
    event TEXT NOT NULL,
    account TEXT NOT NULL,
    debit_fen BIGINT NOT NULL,
    credit_fen BIGINT NOT NULL,
    currency TEXT NOT NULL,
    "on" DATE NOT NULL,
    payment_id UUID,
    reverses UUID,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_ledger PRIMARY KEY (id),
    CONSTRAINT ck_ledger_side CHECK (debit_fen >= 0 AND credit_fen >= 0 AND (debit_fen = 0) <> (credit_fen = 0)),
    CONSTRAINT fk_ledger_payment_id FOREIGN KEY(payment_id) REFERENCES payment (id)
);

CREATE INDEX ix_ledger_book_subject_id ON ledger (book, subject_id);

CREATE INDEX ix_ledger_event_id ON ledger (event_id);

CREATE INDEX ix_ledger_payment_id ON ledger (payment_id);
