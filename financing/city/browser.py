"""A person at a browser: opens pages, reads what they say, fills in their forms.

Nothing here knows the product: forms are found in the page as it was sent, hidden fields and all,
and go where the page says. What a person cannot do on the pages, the city cannot do either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin, urlsplit

import requests

from financing.errors import Broken, Conflict, NotFound

TIMEOUT: Final = (5, 60)
_VOID: Final = frozenset(("input", "br", "img", "hr", "meta", "link", "wbr"))
_SILENT: Final = frozenset(("style", "script", "title"))


@dataclass(slots=True)
class Form:
    """One form of a page: where it goes, and the fields as the page filled them.

    Args:
        fields: name and value of each field that would be sent untouched.
        names: every field that can be filled in, ticked or not.
        choices: values of each tick box and select, by name.
    """

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    choices: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    def filled(self, values: Mapping[str, str | Sequence[str]]) -> list[tuple[str, str]]:
        """The fields to send, with these values in place of the page's.

        Raises:
            NotFound: the form has no such field.
        """
        unknown = values.keys() - self.names - {name for name, _ in self.buttons}
        if unknown:
            raise NotFound(
                f"the form has no field {sorted(unknown)}; it has {sorted(self.names)}",
                where=self.action,
            )
        sent = [(name, value) for name, value in self.fields if name not in values]
        for name, given in values.items():
            sent += [(name, one) for one in ([given] if isinstance(given, str) else given)]
        return sent


@dataclass(slots=True)
class Page:
    """A page as it was sent."""

    url: str
    status: int
    forms: list[Form]
    links: list[tuple[str, str]]
    text: str
    alert: str = ""  # what the page says has to be mended

    def form(self, action: str) -> Form:
        """The form whose address ends so.

        Raises:
            NotFound: this page has none.
        """
        for one in self.forms:
            if urlsplit(one.action).path.endswith(action):
                return one
        raise NotFound(
            f"the page has no form to …{action}; it has {[one.action for one in self.forms]}",
            where=self.url,
        )

    def has_form(self, action: str) -> bool:
        """Whether there is a form whose address ends so."""
        return any(urlsplit(one.action).path.endswith(action) for one in self.forms)


class _Reader(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.page = Page(url, 200, [], [], "")
        self.form: Form | None = None
        self.select: str | None = None
        self.area: str | None = None
        self.option: str | None = None
        self.hush = 0
        self.words: list[str] = []
        self.link: tuple[str, list[str]] | None = None
        self.alert: list[str] | None = None
        self.depth = 0  # of elements inside the alert

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if self.alert is None and given.get("role") == "alert":
            self.alert = []
        if self.alert is not None and self.depth >= 0 and tag not in _VOID:
            self.depth += 1
        if tag in _SILENT:
            self.hush += 1
        elif tag == "form":
            action = urljoin(self.page.url, given.get("action", ""))
            self.form = Form(action, given.get("method", "get").lower())
            self.page.forms.append(self.form)
        elif tag == "a" and "href" in given:
            self.link = (urljoin(self.page.url, given["href"]), [])
        elif self.form is not None:
            self._control(self.form, tag, given)

    def _control(self, form: Form, tag: str, given: Mapping[str, str]) -> None:
        name, value = given.get("name", ""), given.get("value", "")
        if tag == "option" and self.select:
            form.choices[self.select].append(value)
            if "selected" in given or len(form.choices[self.select]) == 1:
                form.fields[:] = [one for one in form.fields if one[0] != self.select]
                form.fields.append((self.select, value))
        if not name or "disabled" in given:
            return
        if tag == "button":
            form.buttons.append((name, value))
            return
        if tag not in ("input", "select", "textarea"):
            return
        form.names.add(name)
        if tag == "select":
            self.select = name
            form.choices.setdefault(name, [])
        elif tag == "textarea":
            self.area = name
            form.fields.append((name, ""))
        elif given.get("type") in ("checkbox", "radio"):
            form.choices.setdefault(name, []).append(value)
            if "checked" in given:
                form.fields.append((name, value))
        elif given.get("type") != "submit":
            form.fields.append((name, value))

    def handle_endtag(self, tag: str) -> None:
        if self.alert is not None and self.depth > 0 and tag not in _VOID:
            self.depth -= 1
            if self.depth == 0:
                self.page.alert = " ".join(self.alert)
                self.depth = -1  # the first alert of a page is its summary
        if tag in _SILENT:
            self.hush -= 1
        elif tag == "form":
            self.form = None
        elif tag == "select":
            self.select = None
        elif tag == "textarea":
            self.area = None
        elif tag == "a" and self.link:
            self.page.links.append((self.link[0], " ".join(self.link[1])))
            self.link = None

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if self.area and self.form:
            self.form.fields[-1] = (self.area, data)
        if not words or self.hush:
            return
        self.words.append(words)
        if self.alert is not None and self.depth > 0:
            self.alert.append(words)
        if self.link:
            self.link[1].append(words)


def read(url: str, status: int, markup: str) -> Page:
    """The forms, links, and text of a page."""
    reader = _Reader(url)
    reader.feed(markup)
    reader.close()
    reader.page.status = status
    reader.page.text = "\n".join(reader.words)
    return reader.page


@dataclass(slots=True)
class Browser:
    """One person's browser: the address of the service, and a jar of cookies."""

    url: str
    lang: str
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False
        self.session.headers["Accept-Language"] = self.lang

    def open(self, path: str) -> Page:
        """Open a page.

        Raises:
            NotFound: it does not exist for this person.
            Broken: the service failed.
        """
        return self._page(self.session.get(urljoin(self.url, path), timeout=TIMEOUT))

    def send(
        self, page: Page, action: str, values: Mapping[str, str | Sequence[str]] | None = None
    ) -> Page:
        """Fill in a form of this page, send it, and follow to the page that answers.

        Raises:
            NotFound: no such form or field.
            Conflict: the service refused; carries what the page says.
        """
        form = page.form(action)
        sent = form.filled(values or {})
        where = form.action
        if form.method == "get":
            answer = self.session.get(where, params=sent, timeout=TIMEOUT)
        else:
            answer = self.session.post(where, data=sent, timeout=TIMEOUT)
        return self._page(answer)

    def _page(self, answer: requests.Response) -> Page:
        page, where = read(answer.url, answer.status_code, answer.text), answer.url
        if answer.status_code >= 500:
            raise Broken(f"the service answered {answer.status_code}", where=where)
        if answer.status_code == 404:
            raise NotFound("no such page for this person", where=where)
        if answer.status_code >= 400:
            raise Conflict(page.alert or " / ".join(page.text.splitlines())[-300:], where=where)
        return page

    def close(self) -> None:
        """Close its connections."""
        self.session.close()
