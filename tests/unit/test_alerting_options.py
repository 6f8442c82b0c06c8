"""How `jakwatch run` is told whom to call, or says why it cannot: before anything is made, and without a secret."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from monitor.alerting.channels import Mail, Relay, Webhook
from monitor.alerting.groups import Timing
from monitor.commands.alerting import alert_options
from monitor.exitcodes import ExitCode

SECRET = "Zs3-s3cr3t"  # noqa: S105
MAIL = ("--alerts-mail", "a@example.org", "--alerts-from", "w@example.org")


def asked(*options, env=None):
    """What a command is given; None where nobody is to be called."""
    given = []

    @click.command()
    @alert_options
    def command(alerts):
        given.append(alerts)

    result = CliRunner().invoke(command, list(map(str, options)), env=env)
    assert result.exit_code == 0, result.output
    return given[0]


def refused(*options):
    @click.command()
    @alert_options
    def command(alerts):
        raise AssertionError(f"it was taken: {alerts}")

    result = CliRunner().invoke(command, list(map(str, options)))
    assert result.exit_code == ExitCode.WRONG_USE, result.output
    assert SECRET not in result.output
    return result.output


@pytest.fixture
def password(tmp_path):
    path = tmp_path / "password"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


def test_nobody_is_called_unless_somebody_says_whom():
    assert asked() is None
    assert asked("--alerts-page", "https://jakwatch.example") is None


def test_a_webhook_may_be_named_where_no_list_of_processes_shows_it():
    url = f"https://pager.example/{SECRET}"
    assert asked("--alerts-webhook", url).channels == (Webhook(url),)
    assert asked(env={"JAKWATCH_ALERTS_WEBHOOK": url}).channels == (Webhook(url),)


def test_a_heartbeat_alone_is_enough():
    settings = asked("--alerts-heartbeat", f"https://beat.example/{SECRET}")
    assert (settings.channels, settings.heartbeat) == ((), f"https://beat.example/{SECRET}")
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("address", "tls"),
    [("localhost:25", "none"), ("127.0.0.1:587", "none"), ("[::1]:25", "none"), ("mail.example:587", "starttls"),
     ("mail.example:25", "starttls"), ("mail.example:465", "tls")],
)  # fmt: skip
def test_only_on_this_machine_a_mail_goes_unencrypted_unless_somebody_says_so(address, tls):
    [mail] = asked(*MAIL, "--smtp", address).channels
    assert mail.relay.tls == tls
    [mail] = asked(*MAIL, "--smtp", address, "--smtp-tls", "none").channels
    assert mail.relay.tls == "none"


def test_mails_go_to_several_by_whom_the_relay_knows(password):
    user = ("--smtp", "mail.example:587", "--smtp-user", "watch", "--smtp-password", password)
    settings = asked(*MAIL, "--alerts-mail", "b@example.org", *user, "--alerts-repeat", "0.5")
    relay = Relay("mail.example", 587, "starttls", "watch", SECRET)
    assert settings.channels == (Mail("w@example.org", ("a@example.org", "b@example.org"), relay),)
    assert settings.timing == Timing(repeat=1_800.0)


@pytest.mark.parametrize("name", ["webhook", "heartbeat", "page", "runbooks"])
@pytest.mark.parametrize(
    "url", [SECRET, f"ftp://h.example/{SECRET}", f"https:///{SECRET}", f"https://h:x/{SECRET}", "https://[::1", "",
            f"https://h.example/{SECRET}\n", f"http://h.example:99999/{SECRET}"],
)  # fmt: skip
def test_what_is_no_url_is_named_by_its_option_and_not_shown(name, url):
    assert f"--alerts-{name} is no URL" in refused(f"--alerts-{name}", url)


@pytest.mark.parametrize("address", ["", "a", "@example.org", "a@", "A <a@example.org>", "a@b\nBcc: c@d", "a b@c"])
def test_what_is_no_mail_address_is_refused(address):
    assert "no mail address" in refused(
        "--alerts-mail", address, "--alerts-from", "w@example.org", "--smtp", "localhost:25"
    )


@pytest.mark.parametrize("address", ["", "mail.example", ":25", "mail.example:", "mail.example:0", "h:65536", "h:smtp"])
def test_what_is_no_relay_is_refused(address):
    said = refused(*MAIL, "--smtp", address)
    assert "--smtp says no HOST:PORT" in said or "belong together" in said


@pytest.mark.parametrize(
    "options",
    [MAIL, MAIL[:2], MAIL[2:], ("--smtp", "h:25"), (*MAIL[:2], "--smtp", "h:25"),
     (*MAIL, "--smtp", "h:25", "--smtp-user", "watch")],
)  # fmt: skip
def test_what_belongs_together_is_given_together(options):
    assert "belong together" in refused(*options)


def test_a_password_is_not_sent_for_everybody_to_read(password):
    said = refused(*MAIL, "--smtp", "h:25", "--smtp-user", "w", "--smtp-password", password, "--smtp-tls", "none")
    assert "--smtp-tls starttls or tls" in said


def test_a_password_that_others_may_read_is_refused(password):
    password.chmod(0o644)
    assert "chmod 600" in refused(*MAIL, "--smtp", "h:25", "--smtp-user", "w", "--smtp-password", password)


@pytest.mark.parametrize("hours", ["0", "-1", "169", "soon", "nan"])
def test_a_repeat_is_some_hours(hours):
    assert "--alerts-repeat" in refused("--alerts-webhook", "https://h.example", "--alerts-repeat", hours)
