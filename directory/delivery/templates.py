"""Where do the words of a mail come from, and what may be put into them?

A message is a folder of three templates, `subject.txt`, `body.txt` and `body.html`. Only what a composer
passes by name gets in, a missing name is an error and not a blank, HTML is escaped, and a template, even one
an organization wrote, reaches nothing beyond its variables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from jinja2 import FunctionLoader, StrictUndefined, Template
from jinja2.loaders import split_template_path
from jinja2.sandbox import ImmutableSandboxedEnvironment

SHIPPED: Traversable = files("directory") / "templates" / "mail"
"""The folder of the messages that come with the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageText:
    """The words of one mail, line ends as LF."""

    subject: str
    plain: str
    html: str


class MessageTemplates:
    """The three templates of one message, compiled once.

    Each is looked for in the given folders in turn, so that an organization or a language may bring its own
    version of some and leave the others as shipped.
    """

    def __init__(self, message: str, folders: Sequence[Traversable] = (SHIPPED,)) -> None:
        environment = ImmutableSandboxedEnvironment(
            loader=FunctionLoader(lambda name: _read(name, folders)),
            autoescape=lambda name: name is not None and name.endswith(".html"),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._subject: Template = environment.get_template(f"{message}/subject.txt")
        self._plain: Template = environment.get_template(f"{message}/body.txt")
        self._html: Template = environment.get_template(f"{message}/body.html")

    def render(self, variables: Mapping[str, str]) -> MessageText:
        """Fill in the variables.

        Raises:
            jinja2.UndefinedError: a template names a variable that was not given.
        """
        return MessageText(
            subject=self._subject.render(variables).strip(),
            plain=self._plain.render(variables),
            html=self._html.render(variables),
        )


def _read(name: str, folders: Sequence[Traversable]) -> str | None:
    # Refuses names that lead out of the folder.
    parts = split_template_path(name)
    for folder in folders:
        file = folder.joinpath(*parts)
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return None
