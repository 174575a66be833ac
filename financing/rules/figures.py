"""The bureau's figures, one row each: whose, over which facts, and what counts.

`facts` is the SQL that gives one line per thing counted; `judge` says how a line counts. The
figure is made of its lines and opens to them, so whoever is measured can recompute it. Words are
`figure.<id>.name` and `figure.<id>.definition`.

Every statement takes `:since` and `:until` (instants, `until` excluded) and `:first_on`, `:last_on`
(days, both included) of the period, and gives `contract_id, number, who, since, until, is_done`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Judge = Literal["share", "hours", "days", "deadline", "told"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row.

    Args:
        subject: whose work it measures.
        unit: `percent` of the denominator that counts, or the middle value in `hours` or `days`.
        judge: `share` counts lines that are done; `hours`, `days` take the middle of the time
            from since to until; `deadline`, `told` count lines within the term of `rule`.
        rule: row of the dated rules by whose term a line is judged.
        fewest: fewer lines than this are too few for a figure.
        version: of this definition; figures of two versions are never compared.
    """

    id: str
    subject: Literal["bank", "purchaser", "service"]
    unit: Literal["percent", "hours", "days"]
    judge: Judge
    facts: str
    source: str
    rule: str = ""
    fewest: int = 5
    version: int = 1


_DECIDED: Final = """
    SELECT a.id AS subject_id, a.contract_id, c.number, b.name AS who, c.profile,
           a.submitted_at AS since, a.decided_at AS until,
           EXISTS (SELECT 1 FROM offer o WHERE o.application_id = a.id) AS is_done
      FROM application a
      JOIN contract c ON c.id = a.contract_id
      JOIN organisation b ON b.id = a.bank_id
     WHERE a.decided_at >= :since AND a.decided_at < :until
     ORDER BY a.decided_at, a.id
"""

# Taken by the bank before the period ended, and decided in it or not at all: what is open yet
# counts with the time that has passed.
_TAKEN: Final = """
    SELECT a.id AS subject_id, a.contract_id, c.number, b.name AS who, c.profile,
           a.submitted_at AS since,
           CASE WHEN a.decided_at < :until THEN a.decided_at END AS until,
           COALESCE(a.decided_at < :until, false) AS is_done,
           (SELECT COALESCE(SUM(EXTRACT(epoch FROM w.ended - w.began)), 0)
              FROM (SELECT u.at AS began, u.to_state,
                           LEAD(u.at, 1, LEAST(:now, :until)) OVER (ORDER BY u.n) AS ended
                      FROM audit u WHERE u."case" = a.id) w
             WHERE w.to_state = 'action-required') AS supplier_s
      FROM application a
      JOIN contract c ON c.id = a.contract_id
      JOIN organisation b ON b.id = a.bank_id
     WHERE a.submitted_at < :until
       AND (a.decided_at >= :since
            OR a.decided_at IS NULL AND a.state IN ('submitted', 'reviewing', 'action-required'))
     ORDER BY a.submitted_at, a.id
"""

_SIGNED: Final = """
    SELECT c.id AS subject_id, c.id AS contract_id, c.number, p.name AS who, c.profile,
           c.signed_on AS since, c.filed_on AS until, c.filed_on IS NOT NULL AS is_done
      FROM contract c
      JOIN organisation p ON p.id = c.purchaser_id
     WHERE c.signed_on <= :last_on AND c.signed_on > CAST(:first_on AS date) - 60
       AND c.state <> 'terminated'
     ORDER BY c.signed_on, c.id
"""

_ASKED: Final = """
    SELECT q.id AS subject_id, q.contract_id, c.number, p.name AS who, c.profile,
           q.asked_at AS since,
           CASE WHEN q.answered_at < :until THEN q.answered_at END AS until,
           COALESCE(q.answered_at < :until, false) AS is_done
      FROM confirmation q
      JOIN contract c ON c.id = q.contract_id
      JOIN organisation p ON p.id = c.purchaser_id
     WHERE q.asked_at >= :since AND q.asked_at < :until AND q.state <> 'expired'
     ORDER BY q.asked_at, q.id
"""

_AWARDED: Final = """
    SELECT c.id AS subject_id, c.id AS contract_id, s.name AS who, c.profile,
           COALESCE(NULLIF(c.number, ''), NULLIF(c.title, ''), c.ocid) AS number,
           c.created_at AS since,
           CASE WHEN n.delivered_at < :until THEN t.sent_at END AS until,
           COALESCE(n.delivered_at < :until, false) AS is_done,
           n.opened_at IS NOT NULL AS is_opened
      FROM contract c
      JOIN organisation s ON s.id = c.supplier_id
      LEFT JOIN telling t ON t.contract_id = c.id AND t.kind = 'general'
                         AND t.channel = 'inbox'
      LEFT JOIN notice n ON n.contract_id = c.id AND n.kind = 'TELL-WINNER'
                        AND n.organisation_id = c.supplier_id
     WHERE c.created_at >= :since AND c.created_at < :until
       AND (c.award_on IS NOT NULL OR c.number = '')
       AND (c.state <> 'terminated' OR t.id IS NOT NULL)
     ORDER BY c.created_at, c.id
"""

FIGURES: Final = (
    Figure("B-APPR", "bank", "percent", "share", _DECIDED, "郑财购〔2020〕16号 第15条", fewest=10),
    Figure("B-T50", "bank", "hours", "hours", _TAKEN, "郑财购〔2020〕16号 第15条", fewest=10),
    Figure("P-FILE", "purchaser", "percent", "deadline", _SIGNED,
           "郑财购〔2020〕16号 第14条; 政府采购法 第四十七条", rule="FILE"),
    Figure("P-CONF", "purchaser", "days", "days", _ASKED,
           "国务院令第802号 第十六条", rule="CONFIRM"),
    Figure("S-TELL", "service", "percent", "told", _AWARDED,
           "郑财购〔2020〕16号 第18条", rule="TELL-WINNER"),
)  # fmt: skip

BY_ID: Final = {figure.id: figure for figure in FIGURES}
