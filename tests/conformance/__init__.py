"""The contract of compute targets: what every target must do, whoever wrote it.

`test_contract.py` holds the rules, and runs on each target in turn: ``fake`` (in memory, `fake_target.py`), ``local``
and ``docker`` (skipped without a Docker engine). `test_fake_target.py` shows that a target of a third party is reached
through everything people use (SDK, magics, wizard, panels, command line) without a change of the product.

To hold another target to the contract:

1. Write its package, as `fake_target.py` does: a `Target`, an `EndpointClient`, and an entry point of the group
   ``mljupyter.targets`` that returns the target.
2. Add a `Site` for it in `conftest.py`: how a scoring script becomes part of a version there.
3. Run ``pytest tests/conformance``.

The rules, for a target's endpoint client:

- ``create`` and ``replace`` return at once with the state Transitioning. Each accepted spec raises the generation by
  one. ``status.observed_generation`` reaches it when the state tells of that spec.
- A change that was made from another generation is refused with `EndpointChangedError`, and nothing is changed.
- The former replicas answer until the new ones do, also when the new ones never start: no request is lost.
- A version that cannot start is Failed, with a problem whose last lines quote the log.
- ``replace`` with a higher ``reload`` of a version restarts it: all its replicas are new, and no request is lost.
- ``watch`` returns on a change, or with the same record when the time is over.
- After ``delete`` nothing answers, the name is free, and streams of logs end.
- A scoring URI answers requests; ``/swagger.json`` and ``/`` (health) are next to it. The header
  ``azureml-model-deployment`` chooses a version.
- Keys and tokens are checked before the script; a replaced key is refused when ``regenerate_key`` returns. No error
  shows a key.
- A rollout raises the share of a version step by step, goes back when its guard is broken, and may be paused, resumed
  and aborted. It refuses changes of versions and shares meanwhile.
- ``rollback`` is a change like any other and the newest entry of the history.
- Decisions on the number of replicas are kept with their reason.
- Every operation on an unknown name raises `EndpointNotFoundError`, with the nearest name.

For a workspace: a name is unique across targets, endpoints of all targets are listed together, and a target that
cannot be used says why and what to do.
"""
