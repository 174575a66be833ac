-- What constraints alone cannot say: insert-only tables, balanced events, complete consents,
-- and a service role that owns nothing.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is insert-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['release', 'contract_version', 'altered_copy', 'consent', 'packet',
        'packet_part', 'blob', 'account_consent', 'drawdown', 'bank_repayment', 'entry_source',
        'ledger', 'transcript', 'audit']
    LOOP
        EXECUTE format('CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', name);
    END LOOP;
END $$;

-- Each ledger event arrives whole in one INSERT and sums to zero per currency.
CREATE FUNCTION check_ledger_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE bad uuid;
BEGIN
    SELECT event_id INTO bad FROM new_rows GROUP BY event_id, currency
    HAVING sum(debit_fen) <> sum(credit_fen) LIMIT 1;
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'ledger event % does not balance', bad USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER balanced AFTER INSERT ON ledger REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION check_ledger_event();

-- An account version comes into force only with the supplier's and the purchaser's consent
-- over the digest of exactly this version.
CREATE FUNCTION check_account_consents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state IN ('active', 'locked') AND (
        SELECT count(DISTINCT role) FROM account_consent c
         WHERE c.account_version_id = NEW.id AND c.digest = NEW.digest
           AND c.role IN ('supplier', 'purchaser')) < 2
    THEN
        RAISE EXCEPTION 'account version % lacks a consent', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER consents BEFORE INSERT OR UPDATE OF state, digest ON account_version
    FOR EACH ROW EXECUTE FUNCTION check_account_consents();

-- Money is drawn only while the account is locked by this application.
CREATE FUNCTION check_drawdown_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM loan l
          JOIN account_version a ON a.contract_id = l.contract_id
         WHERE l.id = NEW.loan_id AND a.state = 'locked' AND a.locked_by = l.application_id)
    THEN
        RAISE EXCEPTION 'loan % draws on an account it has not locked', NEW.loan_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER locked BEFORE INSERT ON drawdown
    FOR EACH ROW EXECUTE FUNCTION check_drawdown_lock();

DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'financing_service') THEN
        CREATE ROLE financing_service NOLOGIN;
    END IF;
END $$;
DO $$ BEGIN EXECUTE format('GRANT financing_service TO %I', current_user); END $$;
GRANT USAGE ON SCHEMA public TO financing_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO financing_service;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO financing_service;
REVOKE UPDATE, DELETE ON release, contract_version, altered_copy, consent, packet, packet_part,
    blob, account_consent, drawdown, bank_repayment, entry_source, ledger, transcript, audit
    FROM financing_service;
REVOKE DELETE ON contract, application, offer, claim, loan, payment, account_version, entry,
    statement, inbox, outbox, parked, notice, telling, confirmation FROM financing_service;
REVOKE INSERT, UPDATE, DELETE ON alembic_version, store_mark FROM financing_service;
