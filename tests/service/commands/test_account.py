"""`hipway account` and `hipway sender`: who is let in, and what is never shown."""

import pytest
from sqlalchemy import text

from service.auth import passwords, tokens
from service.commands import main
from service.store import accounts, senders, sessions

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def environment(monkeypatch, database_url, owner_url):
    monkeypatch.setenv("HIPWAY_DATABASE_URL", owner_url(database_url))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n", encoding="utf-8")
    return str(path)


def find(owner, name):
    return owner.run(lambda tx: accounts.find(tx, name, tenant=0))


def test_an_account_is_added_listed_disabled_and_enabled(owner, file, capsys):
    assert main(["account", "add", "m.vogt", "--practitioner", "vogt", "--password-file", file]) == 0
    said = capsys.readouterr().out
    assert "There is no Practitioner/vogt yet" in said
    assert PASSWORD not in said
    made = find(owner, "m.vogt")
    assert passwords.matches(made.password, PASSWORD)
    assert PASSWORD not in made.password

    assert main(["account", "add", "m.vogt", "--practitioner", "other", "--no-password"]) == 1
    assert find(owner, "m.vogt").practitioner == "vogt"

    owner.run(lambda tx: sessions.begin(tx, b"x", "m.vogt", "::1", tenant=0))
    capsys.readouterr()
    assert main(["account", "disable", "m.vogt"]) == 0
    assert "1 sessions ended" in capsys.readouterr().out
    assert main(["account", "list"]) == 0
    assert "m.vogt  Practitioner/vogt  password  disabled" in capsys.readouterr().out
    assert main(["account", "enable", "m.vogt"]) == 0
    assert find(owner, "m.vogt").disabled is None
    assert main(["account", "list"]) == 0
    assert "last signed in 20" in capsys.readouterr().out


def test_a_list_does_not_say_more_of_the_past_than_is_kept(owner, file, capsys):
    main(["account", "add", "long.ago", "--practitioner", "vogt", "--password-file", file])
    owner.run(lambda tx: sessions.begin(tx, b"long ago", "long.ago", "::1", tenant=0))
    with owner.transaction() as tx:
        tx.execute(
            text("UPDATE session SET began_at = began_at - interval '31 days' WHERE digest = 'long ago'")
        )
    owner.run(sessions.purge)
    capsys.readouterr()

    assert main(["account", "list"]) == 0

    (line,) = [each for each in capsys.readouterr().out.splitlines() if each.startswith("long.ago")]
    assert line.endswith("not signed in in the last 30 days")


def test_another_password_ends_every_session(owner, file, tmp_path, capsys):
    main(["account", "add", "second", "--practitioner", "vogt", "--password-file", file])
    owner.run(lambda tx: sessions.begin(tx, b"y", "second", "::1", tenant=0))
    other = tmp_path / "other"
    other.write_text("another long password", encoding="utf-8")
    capsys.readouterr()

    assert main(["account", "password", "second", "--password-file", str(other)]) == 0

    assert "1 sessions ended" in capsys.readouterr().out
    assert passwords.matches(find(owner, "second").password, "another long password")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        pytest.param("short", "at least 12", id="short"),
        pytest.param("x" * 257, "at most 256", id="endless"),
        pytest.param("third.account!", "holds the name", id="the name"),
        pytest.param("ababababababab", "repeats", id="a few characters"),
    ],
)
def test_a_weak_password_is_not_taken(owner, tmp_path, capsys, password, why):
    file = tmp_path / "weak"
    file.write_text(password, encoding="utf-8")

    assert main(["account", "add", "third", "--practitioner", "p", "--password-file", str(file)]) == 2

    assert why in capsys.readouterr().err
    assert find(owner, "third") is None


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["add", "Upper", "--practitioner", "p", "--no-password"], id="capitals"),
        pytest.param(["add", "a/b", "--practitioner", "p", "--no-password"], id="a slash"),
        pytest.param(["add", "a", "--practitioner", "p/q", "--no-password"], id="no id"),
        pytest.param(["add", "a", "--practitioner", "p"], id="no terminal"),
        pytest.param(["add", "a", "--practitioner", "p", "--password-file", "/nowhere"], id="no file"),
    ],
)
def test_a_mistake_is_said_and_nothing_is_added(owner, capsys, arguments):
    assert main(["account", *arguments]) == 2
    assert capsys.readouterr().err


def test_what_is_not_there_is_said(capsys):
    for arguments in (["disable", "nobody"], ["enable", "nobody"]):
        assert main(["account", *arguments]) == 1
    for arguments in (["renew", "nobody"], ["disable", "nobody"]):
        assert main(["sender", *arguments]) == 1
    assert "nobody" in capsys.readouterr().err


def test_a_sender_s_token_is_alone_on_standard_output_and_kept_as_a_digest(owner, capsys):
    def found(token):
        return owner.run(lambda tx: senders.find(tx, tokens.digest(token), tenant=0))

    assert main(["sender", "add", "laboratory", "--scope", "write"]) == 0
    token = capsys.readouterr().out.removesuffix("\n")
    assert len(token) >= 43
    assert found(token).scopes == {"write"}
    assert main(["sender", "add", "laboratory"]) == 1
    capsys.readouterr()

    assert main(["sender", "renew", "laboratory", "--overlap", "1"]) == 0
    new = capsys.readouterr().out.removesuffix("\n")
    assert found(token).name == found(new).name == "laboratory"
    assert found(new).scopes == {"write"}
    assert main(["sender", "list"]) == 0
    assert "laboratory  write  newest token" in capsys.readouterr().out

    assert main(["sender", "disable", "laboratory"]) == 0
    assert found(token) is found(new) is None
    capsys.readouterr()
    main(["sender", "list"])
    assert "disabled" in capsys.readouterr().out
