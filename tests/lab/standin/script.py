"""The script through which a push that waits runs its package: what cmd would make of it.

Reads the file as cmd reads a script's lines (percent signs, then quotation marks and carets) and gives back what is run;
whatever would act and is not escaped is refused, so that a wrong escape shows. Or lets Wine's cmd run it for real.
"""

import asyncio
import os
import re
import subprocess

SHAPE = re.compile(
    r'@echo off\r\n'
    r'setlocal EnableExtensions DisableDelayedExpansion\r\n'
    r'set "errorlevel="\r\n'
    r'call :run >"C:\\SPDISTRO\\(?P<output>[^"\r\n]+)" 2>&1 <nul\r\n'
    r'set "pusher_end=%errorlevel%"\r\n'
    r'>"C:\\SPDISTRO\\(?P<end>[^"\r\n]+)" echo %pusher_end%\r\n'
    r'exit %pusher_end%\r\n'
    r':run\r\n'
    r'(?P<line>[^\r\n]*)\r\n'
    r'exit /b %errorlevel%\r\n\Z'
)
CALL = re.compile(r"(?i)/d /v:off /e:on /c (C:\\SPDISTRO\\\.pusher-[0-9a-f]{32}-\d+\.cmd)\Z")


class ScriptError(Exception):
    """cmd would do something else than run one program."""


def expand(line, variables):
    """Percent signs as in a script: %% is one, %NAME% a variable; a single one vanishes."""
    def value(match):
        return "%" if match.group(1) == "" else variables(match.group())

    return re.sub(r"%([^%]*)%", value, line)


def unescape(line):
    """Outside quotation marks a caret takes the next character's meaning away; others that have one are refused."""
    out, quoted, at = [], False, 0
    while at < len(line):
        letter = line[at]
        if letter == '"':
            quoted = not quoted
        elif not quoted and letter == "^":
            at += 1
            letter = line[at] if at < len(line) else ""
        elif not quoted and letter in "&|<>()":
            raise ScriptError(f"{letter} acts in {line!r}")
        out.append(letter)
        at += 1
    return "".join(out)


class Script:
    """One script on a target's drive."""

    def __init__(self, folder, name, variables):
        self.folder, self.name = folder, name
        with open(f"{folder}/{name}", encoding="ascii", newline="") as file:
            text = file.read()
        match = SHAPE.match(text)
        if match is None or max(map(len, text.split("\r\n"))) > 8191:
            raise ScriptError(f"not the script that was agreed on: {text!r}")
        self.output, self.end = match["output"], match["end"]
        line = unescape(expand(match["line"], variables))
        quoted = re.match(r'"([^"]*)"(?: (.*))?\Z', line)
        if quoted is None:
            raise ScriptError(f"no quoted command in {line!r}")
        self.command, self.arguments = quoted.group(1), quoted.group(2) or ""

    def write_output(self, data):
        with open(f"{self.folder}/{self.output}", "wb") as file:
            file.write(data)

    def write_end(self, code):
        signed = code - (1 << 32) if code >= 1 << 31 else code
        with open(f"{self.folder}/{self.end}", "wb") as file:
            file.write(b"%d\r\n" % signed)

    def read_end(self):
        with open(f"{self.folder}/{self.end}", "rb") as file:
            return int(file.read()) & 0xFFFFFFFF


class Wine:
    """Wine's cmd, one script at a time, with that target's C:\\SPDISTRO."""

    def __init__(self, prefix):
        self.prefix = prefix
        self._lock = asyncio.Lock()

    def environment(self):
        environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
        return environment | {
            "WINEPREFIX": self.prefix, "WINEDEBUG": "-all", "HOME": os.path.dirname(self.prefix),
            "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe=d",
        }

    async def _run(self, *command, cwd=None):
        process = await asyncio.create_subprocess_exec(
            *command, env=self.environment(), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return await process.wait()

    async def run(self, script):
        """The script's exit code. Unix keeps eight bits of it; the rest is what the script wrote, if they agree."""
        async with self._lock:
            if not os.path.isdir(f"{self.prefix}/drive_c/windows"):
                await self._run("wine", "cmd", "/d", "/c", "ver")
            link = f"{self.prefix}/drive_c/SPDISTRO"
            if os.path.lexists(link):
                os.unlink(link)
            os.symlink(script.folder, link)
            status = await self._run(
                "wine", "cmd", "/d", "/v:off", "/e:on", "/c", f"C:\\SPDISTRO\\{script.name}", cwd=script.folder
            )
        try:
            code = script.read_end()
        except (OSError, ValueError):
            return status
        return code if (code & 0xFF or (code != 0)) == status else status  # Wine makes no failure a zero
