"""The keys of Flower's nodes, however they are written."""

from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError
from server.launch import Launch, load_launch
from server.node_keys import node_key

laws = settings(deadline=None, derandomize=True)

KEY = ec.derive_private_key(20261125, ec.SECP384R1())
PUBLIC = KEY.public_key()
SSH = PUBLIC.public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH)
PEM = PUBLIC.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
OTHER = ec.generate_private_key(ec.SECP384R1()).public_key()
NEEDED = ("study.yaml", "initial.safetensors", "fronts.safetensors")


@pytest.mark.parametrize(
    "text",
    [SSH, SSH + b"\n", SSH + b" root@north", PEM, PEM.strip(), PEM.replace(b"\n", b"\r\n")],
)
def test_every_form_of_a_key_is_the_same_key(text: bytes) -> None:
    found = node_key(text)
    assert found is not None
    assert s.load_der_public_key(found) == PUBLIC
    assert found == PUBLIC.public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)


def test_another_key_is_another() -> None:
    other = OTHER.public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH)
    assert node_key(other) not in (None, node_key(SSH))


PRIVATE = KEY.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
# RFC 5656 allows a compressed point; cryptography does not read it.
COMPRESSED = b"".join(
    len(part).to_bytes(4, "big") + part
    for part in (
        b"ecdsa-sha2-nistp384",
        b"nistp384",
        PUBLIC.public_bytes(s.Encoding.X962, s.PublicFormat.CompressedPoint),
    )
)
GARBAGE = [
    b"", b"\x00\xff", b"ecdsa-sha2-", b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp384 AAAA",
    b"ecdsa-sha2-nistp384 !!!!", b"ecdsa-sha2-nistp384 " + SSH.split()[1][:-8], SSH[:-20],
    b"ecdsa-sha2-nistp384 " + b64encode(COMPRESSED),
    SSH.replace(b"nistp384", b"nistp999"), SSH.replace(b"nistp384", b"nistp256"), PEM[:-30],
    PEM.replace(b"PUBLIC", b"PRIVATE"), PRIVATE, PEM.decode().encode("utf-16"),
]  # fmt: skip


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_no_key(text: bytes) -> None:
    assert node_key(text) is None


@laws
@given(st.sampled_from([SSH, PEM]), st.data())
def test_a_damaged_key_is_none_or_another(text: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.binary(min_size=1, max_size=8))
    node_key(text[:start] + new + text[start + len(new) :])
    node_key(text[:start])
    node_key(b"ecdsa-sha2-" + new)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a launch file, and in it that of its run."""
    (tmp_path / "run").mkdir()
    for name in NEEDED:
        (tmp_path / "run" / name).write_bytes(b"")
    return tmp_path


def launch_of(folder: Path, text: str = "") -> Launch:
    path = folder / "launch.yaml"
    sites = "".join(f"  {line}\n" for line in PEM.decode().splitlines())
    path.write_text(
        text
        or f"run: run\nkey: keys/signing.pem\n"
        f"sites:\n  north: {SSH.decode()}\n  south: |\n  {sites.replace(chr(10), chr(10) + '  ')}\n"
    )
    return load_launch(path)


def faults(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        launch_of(folder, text)
    return raised.value.problem


def test_a_launch_file_names_run_key_and_sites(folder: Path) -> None:
    launch = launch_of(folder)
    assert (launch.run, launch.key) == (folder / "run", folder / "keys" / "signing.pem")
    assert launch.node_keys == {"north": node_key(SSH), "south": node_key(PEM)}
    assert launch.node_keys["north"] == launch.node_keys["south"]
    assert (launch.synthetic, launch.deadline_hours, launch.grace_s) == (False, 12.0, 180.0)


def test_absolute_paths_stay_as_they_are(folder: Path) -> None:
    launch = launch_of(folder, f"run: {folder}/run\nkey: /etc/leukofed/key.pem\nsites: {{}}\n")
    assert (launch.run, launch.key) == (folder / "run", Path("/etc/leukofed/key.pem"))


GOOD = f"run: run\nkey: k.pem\nsites:\n  north: {SSH.decode()}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("sites:", "site:"), ["sites: Field required", "line 3: site: Extra inputs"]),
        (
            GOOD.replace(SSH.decode(), "ssh-rsa AAAA"),
            ["line 4: sites.north: this is no public key"],
        ),
        (GOOD.replace("north", "North"), ["line 4: sites.North"]),
        (GOOD.replace("run: run\n", ""), ["run: Field required"]),
        (GOOD + "grace_s: -1\n", ["line 5: grace_s: "]),
        (GOOD + "deadline_hours: 0\n", ["line 5: deadline_hours: "]),
        (GOOD + "deadline_hours: .inf\n", ["line 5: deadline_hours: "]),
        (GOOD + "grace_s: .inf\n", ["line 5: grace_s: "]),
        (GOOD + "grace_s: .nan\n", ["line 5: grace_s: "]),
        (GOOD + "grace_s: 1\ngrace_s: 2\n", ["line 6: grace_s: given twice"]),
        (GOOD.replace("sites:", "sites: []\nx:"), ["line 3: sites: ", "x: Extra inputs"]),
    ],
)
def test_every_fault_of_a_launch_file_is_named(folder: Path, text: str, words: list[str]) -> None:
    found = faults(folder, text)
    for word in words:
        assert word in found


def test_what_the_runs_folder_lacks_is_named(folder: Path) -> None:
    for name in NEEDED[1:]:
        (folder / "run" / name).unlink()
    with pytest.raises(ConfigError) as raised:
        launch_of(folder)
    assert raised.value.problem == (
        "the run's folder lacks initial.safetensors, fronts.safetensors"
    )
    assert "init-model" in raised.value.fix
    assert raised.value.local_detail == str(folder / "run")


def test_a_key_of_a_kind_that_flower_does_not_use_is_no_nodes(folder: Path) -> None:
    key = Ed25519PrivateKey.generate().public_key()
    text = key.public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH).decode()
    assert "this is no public key" in faults(folder, GOOD.replace(SSH.decode(), text))
