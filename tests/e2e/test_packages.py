"""What is installed, by make install, the deb and the rpm: against packaging/files.list, which all three are made from.

Whether the packages work on a fresh machine is for `make bookworm`.
"""
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile

import pytest

import support

PACKAGES = ["agent", "aggregator", "sbctl"]
DEB = {"UNIT": "/lib/systemd/system", "ZSH": "/usr/share/zsh/vendor-completions"}
RPM = {"UNIT": "/usr/lib/systemd/system"}
PAGES = ["securebase-agent.8", "securebase-aggregator.8", "sbctl.1", "securebase-agent.ini.5", "securebase-aggregator.ini.5"]


def run(*args, **env):
    out = subprocess.run([str(a) for a in args], cwd=support.TOP, capture_output=True, text=True, check=False,
                         env=dict(os.environ, **env))
    assert out.returncode == 0, f"{args}\n{out.stdout}{out.stderr}"
    return out.stdout


def version():
    with open(os.path.join(support.TOP, "CHANGELOG.md"), encoding="utf-8") as f:
        return re.search(r"^## ([\d.]+)", f.read(), re.M).group(1)


def listed(package, **env):
    """{destination: mode}, and the empty folders, of a package as install.sh lists it."""
    files, folders = {}, set()
    for line in run("sh", "packaging/install.sh", "--list", support.BUILD, "", "/usr", package, **env).splitlines():
        mode, place = line.split()
        if mode == "dir":
            folders.add(place)
        else:
            files[place] = int(mode, 8)
    assert files
    return files, folders


def programs(folder):
    """A build folder with the programs that are built and nothing else."""
    folder.mkdir()
    for name in ("securebase-agent", "securebase-aggregator", "sbctl"):
        shutil.copy2(os.path.join(support.BUILD, name), folder / name)
    return folder


@pytest.fixture(scope="module")
def debs(tmp_path_factory):
    build = programs(tmp_path_factory.mktemp("deb") / "build")
    run("sh", "packaging/deb/build.sh", build, version())
    return build / "deb"


@pytest.fixture(scope="module")
def rpms(tmp_path_factory):
    """Compiled anew from the tarball: what it lacks, or a newer compiler's flags, would show here."""
    build = tmp_path_factory.mktemp("rpm")
    run("sh", "packaging/rpm/build.sh", build, version())
    return build / "rpm"


def deb_of(debs, package):
    found = list(debs.glob(f"securebase-{package}_*.deb"))
    assert len(found) == 1
    return found[0]


def rpm_of(rpms, package):
    found = list(rpms.glob(f"securebase-{package}-{version()}-*.rpm"))
    assert len(found) == 1
    return found[0]


# ---- make install ----------------------------------------------------------------------------------------------------------

def test_install(tmp_path):
    run("sh", "packaging/install.sh", support.BUILD, tmp_path, "/usr")
    expected = {}
    for package in PACKAGES:
        files, folders = listed(package)
        expected.update(files)
        assert all((tmp_path / d.lstrip("/")).is_dir() for d in folders)
    found = {"/" + str(p.relative_to(tmp_path)): p.stat().st_mode & 0o7777 for p in tmp_path.rglob("*") if p.is_file()}
    assert found == expected


def test_install_keeps_what_the_administrator_wrote(tmp_path):
    ini = tmp_path / "etc/securebase/agent.ini"
    run("sh", "packaging/install.sh", support.BUILD, tmp_path, "/usr")
    shipped = ini.read_text()
    ini.write_text("[agent]\nregion = here\n")
    assert "is kept" in run("sh", "packaging/install.sh", support.BUILD, tmp_path, "/usr")
    assert ini.read_text() == "[agent]\nregion = here\n"
    assert (tmp_path / "etc/securebase/agent.ini.new").read_text() == shipped


def test_other_prefix_reaches_the_units(tmp_path):
    run("sh", "packaging/install.sh", support.BUILD, tmp_path, "/usr/local", "agent")
    unit = (tmp_path / "usr/local/lib/systemd/system/securebase-agent.service").read_text()
    starts = re.findall(r"^Exec\w+=(\S*securebase\S*)", unit, re.M)
    assert starts and set(starts) == {"/usr/local/bin/securebase-agent"}


def test_units_are_well_formed(tmp_path):
    run("sh", "packaging/install.sh", support.BUILD, tmp_path, "/usr")
    for name in ("agent", "aggregator"):
        unit = tmp_path / f"usr/lib/systemd/system/securebase-{name}.service"
        text = unit.read_text().replace("/usr/bin/", f"{tmp_path}/usr/bin/")
        unit.write_text("\n".join(line for line in text.splitlines() if not line.startswith("Documentation=")))
        out = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
        assert out.returncode == 0 and "securebase" not in out.stderr, out.stderr
        out = run("systemd-analyze", "security", "--offline=yes", "--threshold=20", unit)
        assert "Overall exposure level" in out
    # a template, and with more rights than these two: an instance of it
    text = (tmp_path / "usr/lib/systemd/system/securebase-guard@.service").read_text().replace("/usr/bin/", f"{tmp_path}/usr/bin/")
    unit = tmp_path / "securebase-guard@app.service"
    unit.write_text("\n".join(line for line in text.splitlines() if not line.startswith("Documentation=")))
    out = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    assert out.returncode == 0 and "securebase" not in out.stderr, out.stderr


# ---- deb -------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("package", PACKAGES)
def test_deb_files(debs, package):
    files, folders = listed(package, **DEB)
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb_of(debs, package)], capture_output=True, check=True).stdout
    found, seen = {}, set()
    for m in tarfile.open(fileobj=io.BytesIO(data)):
        assert (m.uid, m.gid) == (0, 0), m.name
        name = m.name.lstrip(".")
        if m.isdir():
            assert m.mode == 0o755, name
            seen.add(name)
        else:
            assert m.isfile(), f"{name} is no plain file"
            found[name[:-3] if "/share/man/" in name and name.endswith(".gz") else name] = m.mode
    doc = f"/usr/share/doc/securebase-{package}/"
    assert found == {**files, doc + "copyright": 0o644, doc + "changelog.gz": 0o644}
    assert folders <= seen


@pytest.mark.parametrize("package", PACKAGES)
def test_deb_control(debs, package, tmp_path):
    run("dpkg-deb", "-e", deb_of(debs, package), tmp_path / "c")
    control = (tmp_path / "c/control").read_text()
    assert f"Version: {version()}\n" in control
    assert re.search(r"^Depends: .*libc6 \(>= ", control, re.M)
    etc = sorted(f for f in listed(package)[0] if f.startswith("/etc/"))
    conffiles = tmp_path / "c/conffiles"
    assert (conffiles.read_text().split() if conffiles.exists() else []) == etc
    scripts = {s for s in ("preinst", "postinst", "prerm", "postrm") if (tmp_path / "c" / s).exists()}
    if package == "sbctl":
        assert not scripts
        return
    assert scripts == {"postinst", "prerm", "postrm"}
    for s in scripts:
        run("sh", "-n", tmp_path / "c" / s)
    assert "systemd-sysusers" in re.search(r"^Depends: .*", control, re.M).group(0)
    postinst = (tmp_path / "c/postinst").read_text()
    order = [postinst.index(w) for w in ("systemd-sysusers ", "systemd-tmpfiles ", "deb-systemd-helper enable", "--check-config",
                                         "deb-systemd-invoke")]
    assert order == sorted(order), "users, folders, enabling, checking, starting"


def test_deb_is_reproducible(debs, tmp_path):
    """The same bytes from another folder at another time."""
    again = programs(tmp_path / "elsewhere")
    run("sh", "packaging/deb/build.sh", again, version())

    def sums(folder):
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.glob("*.deb")}
    assert sums(debs) == sums(again / "deb")


# ---- rpm -------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("package", PACKAGES)
def test_rpm_files(rpms, package):
    files, folders = listed(package, **RPM)
    found, configs, seen = {}, set(), set()
    query = "[%{FILENAMES} %{FILEMODES:octal} %{FILEFLAGS:fflags}. %{FILEUSERNAME}:%{FILEGROUPNAME}\n]"
    for line in run("rpm", "-qp", "--qf", query, rpm_of(rpms, package)).splitlines():
        name, mode, flags, owner = line.split()
        assert owner == "root:root", line
        if int(mode, 8) & 0o170000 == 0o040000:
            assert int(mode, 8) & 0o7777 == 0o755, line
            seen.add(name)
        elif "/licenses/" not in name:
            found[re.sub(r"\.gz$", "", name) if "/share/man/" in name else name] = int(mode, 8) & 0o7777
            if "c" in flags:
                assert "n" in flags, "%config(noreplace)"
                configs.add(name)
    assert found == files
    assert configs == {f for f in files if f.startswith("/etc/")}
    assert folders <= seen
    assert all("securebase" in d for d in seen), "no folder that is another package's"


@pytest.mark.parametrize("package", PACKAGES)
def test_rpm_scripts(rpms, package):
    scripts = run("rpm", "-qp", "--scripts", rpm_of(rpms, package))
    if package == "sbctl":
        assert not scripts
        return
    parts = dict(re.findall(r"^(\w+) scriptlet[^\n]*\n(.*?)(?=^\w+ scriptlet|\Z)", scripts, re.M | re.S))
    assert set(parts) == {"postinstall", "preuninstall", "postuninstall"}
    unit = f"securebase-{package}.service"
    assert "systemd-sysusers" in parts["postinstall"] and "systemd-tmpfiles" in parts["postinstall"]
    assert not re.search(r"systemctl\b.* (start|enable)\b", scripts), "an rpm neither starts nor enables"
    assert all(unit in p for p in parts.values())
    assert "disable" in parts["preuninstall"] and "try-restart" in parts["postuninstall"]
    for body in parts.values():
        assert "%" not in body, "a macro that nobody expanded"
        assert subprocess.run(["sh", "-n"], input=body, text=True, check=False).returncode == 0


# ---- what is said of the programs ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("page", PAGES)
def test_manual_pages_have_no_warnings(page):
    out = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", f"packaging/man/{page}"], cwd=support.TOP,
                         env=dict(os.environ, MANROFFSEQ="", MANWIDTH="80", LC_ALL="C.UTF-8"), stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True, check=False)
    assert out.returncode == 0 and not out.stderr, out.stderr


@pytest.mark.parametrize("program,page", [("securebase-agent", "securebase-agent.8"),
                                          ("securebase-aggregator", "securebase-aggregator.8"), ("sbctl", "sbctl.1")])
def test_every_flag_is_described_and_completed(program, page):
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", run(os.path.join(support.BUILD, program), "--help")))
    assert "--version" in flags
    for file in (f"man/{page}", f"completion/{program}.bash", f"completion/_{program}"):
        with open(os.path.join(support.TOP, "packaging", file), encoding="utf-8") as f:
            text = f.read().replace("\\-", "-")
        missing = {f for f in flags if not re.search(re.escape(f) + r"(?![\w-])", text)}
        assert not missing, f"{file} lacks {sorted(missing)}"


def complete(program, *words):
    """What bash offers after the words; the last is the one begun."""
    script = (f'source packaging/completion/{program}.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              f'_{program.replace("-", "_")}; printf "%s\\n" "${{COMPREPLY[@]}}"')
    return run("bash", "-uc", script, "bash", program, *words).split()


def test_completion():
    assert complete("sbctl", "pe") == ["percentiles"]
    assert "--by" in complete("sbctl", "percentiles", "--")
    assert "--by" not in complete("sbctl", "status", "--")
    assert complete("securebase-agent", "--once", "--format", "j") == ["json"]
    assert complete("securebase-agent", "spool", "") == ["stat", "verify", "dead", "drop"]
    assert complete("securebase-aggregator", "ver") == ["verify-store"]
