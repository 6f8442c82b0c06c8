"""A mail reaches its relay on a wire that nobody reads along, from whom the relay knows; or it is said why not."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import closing

import pytest

from monitor.alerting.alerts import Alert
from monitor.alerting.channels import Mail, NotDeliveredError, Relay, Webhook
from monitor.alerting.groups import Message
from tests.integration.called import Mailbox, Receiver
from tests.integration.certificates import Authority
from tests.integration.scraping import free_port

TO, FROM = ("a@example.org", "b@example.org"), "jakwatch@example.org"
PASSWORD = "Zs3-s3cr3t"  # noqa: S105  of a relay that lives for a test
LABELS = {"alertname": "JakwatchStartedUnscreened", "severity": "critical", "team": "safety", "site": "lisbon"}
SAID = {"summary": "S", "description": "D.", "resolved": "No longer observed.", "list_url": "https://page.example/"}
MESSAGE = Message("group", "safety-page", {"site": "lisbon"}, (Alert(LABELS, SAID, 0.0),), 60.0)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    found = Authority.founded(tmp_path_factory.mktemp("authority") / "ca")
    found.sign("relay", "localhost")
    return found


@pytest.fixture
def offered(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.cert("relay"), authority.key("relay"))
    return context


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """As whoever runs the process says which authorities the system trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))


def sent(relay: Relay) -> None:
    asyncio.run(Mail(FROM, TO, relay).send(MESSAGE, "https://page.example"))


def refusal(mailbox: Mailbox, relay: Relay) -> str:
    """Why it was not delivered; nothing was."""
    with pytest.raises(NotDeliveredError) as refused:
        sent(relay)
    assert mailbox.letters == []
    return str(refused.value)


def relay(mailbox: Mailbox, tls: str = "none", password: str | None = None) -> Relay:
    return Relay("localhost", mailbox.port, tls, None if password is None else "watch", password)  # type: ignore[arg-type]


@pytest.mark.usefixtures("trusted")
def test_a_mail_is_encrypted_and_signed_for_where_it_is_to_be(offered: ssl.SSLContext) -> None:
    with closing(Mailbox(offered, "watch", PASSWORD)) as mailbox:
        sent(relay(mailbox, "starttls", PASSWORD))
        [letter] = mailbox.letters
    assert (letter.is_encrypted, letter.user, letter.to) == (True, "watch", list(TO))
    assert letter.text.splitlines()[:2] == ["JakwatchStartedUnscreened (critical), since 1970-01-01 00:00 UTC", "S."]


def test_a_relay_that_nobody_vouches_for_gets_no_mail(offered: ssl.SSLContext) -> None:
    with closing(Mailbox(offered)) as mailbox:
        assert "its certificate is not trusted" in refusal(mailbox, relay(mailbox, "starttls"))


def test_a_relay_that_would_let_others_read_along_gets_no_mail() -> None:
    with closing(Mailbox()) as mailbox:
        assert "offers no STARTTLS" in refusal(mailbox, relay(mailbox, "starttls"))


def test_a_wrong_password_is_said_by_its_code_and_not_shown() -> None:
    with closing(Mailbox(user="watch", password="another")) as mailbox:  # noqa: S106
        said = refusal(mailbox, relay(mailbox, password=PASSWORD))
    assert said == "the relay answers 535"


def test_a_relay_that_knows_one_of_the_addresses_has_taken_it() -> None:
    with closing(Mailbox(refuses=frozenset(TO[:1]))) as mailbox:
        sent(relay(mailbox))
        assert [letter.to for letter in mailbox.letters] == [[TO[1]]]


def test_a_relay_that_knows_none_of_the_addresses_has_not() -> None:
    with closing(Mailbox(refuses=frozenset(TO))) as mailbox:
        assert refusal(mailbox, relay(mailbox)) == "the relay refuses all addresses (550)"


def test_a_mail_that_is_sent_again_can_be_known_for_the_same() -> None:
    mail = Mail(FROM, TO, Relay("localhost", 25))
    assert mail.letter(MESSAGE)["Message-ID"] == mail.letter(MESSAGE)["Message-ID"]
    assert mail.letter(MESSAGE)["Message-ID"].endswith("@example.org>")


def test_nobody_there_is_said_in_the_words_of_the_system() -> None:
    for channel in (
        Mail(FROM, TO, Relay("127.0.0.1", free_port())),
        Webhook(f"http://127.0.0.1:{free_port()}/{PASSWORD}"),
    ):
        with pytest.raises(NotDeliveredError) as refused:
            asyncio.run(channel.send(MESSAGE, "https://page.example"))
        assert (str(refused.value), refused.value.is_unreachable) == ("Connection refused", True)


@pytest.mark.parametrize("status", [301, 400, 404, 500, 503])
def test_whoever_answers_anything_but_that_it_is_taken_has_not_taken_it(status: int) -> None:
    """A redirect neither: who follows it may tell a stranger."""
    with closing(Receiver()) as receiver:
        receiver.answer = status
        with pytest.raises(NotDeliveredError) as refused:
            asyncio.run(Webhook(f"http://{receiver.address}/{PASSWORD}").send(MESSAGE, "https://page.example"))
    assert (str(refused.value), refused.value.is_unreachable) == (f"the receiver answers {status}", False)


def test_no_secret_is_shown_where_a_channel_is_printed() -> None:
    channels = [Webhook(f"https://h.example/{PASSWORD}"), Mail(FROM, TO, Relay("h", 25, "tls", "watch", PASSWORD))]
    assert PASSWORD not in repr(channels)
