"""Stand-ins for modules that engines import but that their EPLB code never calls: kernels and front ends, which need
a GPU or hundreds of MB. A stand-in has every attribute, each a stand-in again."""

import importlib.abc
import importlib.machinery
import sys
import types


class _Anything(type):
    """A class that can be subclassed, called, subscripted, used as a decorator, and has every attribute."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _anything(name)

    def __getitem__(cls, _):
        return cls

    def __or__(cls, _):
        return cls

    __ror__ = __or__


def _anything(name):
    def create(cls, *args, **kwargs):
        if cls.__dict__.get("_stub"):
            if len(args) == 1 and not kwargs and callable(args[0]):
                return args[0]  # a decorator without arguments
            return _anything(name)
        return object.__new__(cls)
    return _Anything(name, (), {"_stub": True, "__new__": create, "__init__": lambda self, *a, **k: None})


class _Module(types.ModuleType):
    __path__ = []
    __version__ = "99.0"

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        made = _anything(name)
        setattr(self, name, made)
        return made


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Module(spec.name)

    def exec_module(self, module):
        pass


def stand_in_for(names):
    """Imports of these top-level modules, and of all below them, give stand-ins from now on."""
    sys.meta_path.insert(0, _Finder(frozenset(names)))
