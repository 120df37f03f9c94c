"""Every error DocDuet raises on purpose.

    DocDuetError
    ├── ConfigError            (ValueError)          docduet.toml, the environment or a flag is wrong
    ├── SourceError            (ValueError)          a source cannot be read at all
    │   ├── EmptySourceError                         ... or holds nothing readable
    │   ├── RefusedAddress                           ... or an address must not be fetched
    │   └── UnreachableSource  (ConnectionError)     ... or a site does not answer
    ├── SuddenLossError        (RuntimeError)        a site lost so many pages that it must be confirmed
    ├── UnreadableDocument     (ValueError)          one document cannot be turned into a page
    ├── BusyError              (RuntimeError)        another sync, build or run holds the lock or the GPU
    ├── NoIndexError           (FileNotFoundError)   nothing has been indexed yet
    ├── IndexMismatchError     (ValueError)          the index does not fit the configuration
    ├── UnknownLabelError      (ValueError)          no page has the labels of a filter
    ├── VectorStoreError       (ConnectionError)     the vector database cannot be reached or answered with an error
    ├── StoreError             (ConnectionError)     the database of conversations, votes and keys cannot be used
    ├── KeyNotFoundError       (LookupError)         no valid key is called so
    ├── ClusterError           (ConnectionError)     the Ray cluster cannot be reached, or its job failed
    ├── EngineError            (ConnectionError)     an engine cannot be reached or broke off
    │   ├── EngineStartError                         ... or did not start
    │   ├── PromptTooLongError                       ... or cannot take so long a prompt
    │   └── EngineRefusedError                       ... or will not do what the request asks for
    ├── CheckpointError        (ValueError)          a checkpoint folder is not whole, or cannot be made
    ├── DiskFullError          (OSError)             no room left; what was there before still serves
    ├── PortInUseError         (OSError)             somebody else listens there
    ├── GatewayError           (ConnectionError)     the gateway cannot be reached or answered with an error
    └── EvalScopeError         (RuntimeError)        EvalScope stopped, or wrote what cannot be read

The message says what is wrong and what to do next; the front door prints it and exits 1, the API wraps it
in OpenAI's error shape.
"""


class DocDuetError(Exception):
    """Root of all errors that DocDuet raises on purpose."""


class ConfigError(DocDuetError, ValueError):
    """docduet.toml, the environment or a flag is wrong."""


class SourceError(DocDuetError, ValueError):
    """A source (folder, site) cannot be read at all."""


class EmptySourceError(SourceError):
    """A source holds no readable document."""


class RefusedAddress(SourceError):
    """An address that must not be fetched: private, malformed, or with a port that nobody allowed."""


class UnreachableSource(SourceError, ConnectionError):
    """A web site or git server does not answer; the pages of earlier syncs stay."""


class SuddenLossError(DocDuetError, RuntimeError):
    """A site lost so many pages at once that nothing was removed; `--prune` confirms it."""


class UnreadableDocument(DocDuetError, ValueError):
    """One document cannot be turned into a page; the message is the reason shown to the user."""


class BusyError(DocDuetError, RuntimeError):
    """Another process holds the lock (a sync, an index build, a training run), or the GPU's memory."""


class NoIndexError(DocDuetError, FileNotFoundError):
    """Nothing has been indexed yet."""


class IndexMismatchError(DocDuetError, ValueError):
    """The index was built with other models than the configuration names."""


class UnknownLabelError(DocDuetError, ValueError):
    """No page of the index has the labels that a filter asks for. ``label``: product, version or lang."""

    def __init__(self, message: str, label: str = "") -> None:
        super().__init__(message)
        self.label = label


class VectorStoreError(DocDuetError, ConnectionError):
    """The vector database cannot be reached, or answered with an error; the message never holds its password."""


class StoreError(DocDuetError, ConnectionError):
    """The database of conversations, votes and keys cannot be reached, is locked or full, or is a newer version's."""


class KeyNotFoundError(DocDuetError, LookupError):
    """No valid key has this id or name."""


class CorrectionNotFoundError(DocDuetError, LookupError):
    """No correction of this answer stands."""


class ClusterError(DocDuetError, ConnectionError):
    """The Ray cluster cannot be reached, or the job on it failed."""


class EngineError(DocDuetError, ConnectionError):
    """An engine cannot be reached, answered with an error, or broke off mid-answer.

    ``plain``: the message without what the engine said, which can quote the prompt: what may be logged.
    """

    def __init__(self, message: str, plain: str = "") -> None:
        super().__init__(message)
        self.plain = plain or message


class EngineStartError(EngineError):
    """A vLLM process died, or did not get ready in time."""


class PromptTooLongError(EngineError):
    """The prompt and the answer together are longer than the engine's context."""


class EngineRefusedError(EngineError):
    """The engine will not do what the client asked for, such as JSON by a schema that it cannot follow."""


class CheckpointError(DocDuetError, ValueError):
    """A checkpoint folder is missing, half written or damaged, or could not be made."""


class DiskFullError(DocDuetError, OSError):
    """No room left on the disk; what was there before still serves."""


class PortInUseError(DocDuetError, OSError):
    """The port is taken."""


class GatewayError(DocDuetError, ConnectionError):
    """The gateway cannot be reached, or answered with an error."""


class EvalScopeError(DocDuetError, RuntimeError):
    """EvalScope stopped, or wrote what cannot be read."""


def network_reason(error: BaseException) -> str:
    """What an error below HTTP says, for a message: without aiohttp's word "ssl:default", its name where it is mute."""
    return str(error).replace(" ssl:default", "") or type(error).__name__
