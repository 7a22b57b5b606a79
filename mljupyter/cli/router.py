"""``mljupyter router``: the commands for the address, TLS and the limits of the router."""

from __future__ import annotations

import click

from mljupyter.cli.options import json_option, open_router, open_workspace, router_target_option, workspace_option
from mljupyter.cli.output import print_document, print_fields, print_table, say
from mljupyter.notebook.views.scaling import ROUTER_COLUMNS, router_decision_rows, router_size_fields
from mljupyter.spec import RouterRecord


@click.group()
def router() -> None:
    """Show and change the router of the workspace: address, TLS, limits."""


@router.command(short_help="Show address, TLS, limits, size and problems.")
@router_target_option
@workspace_option
@json_option
def show(target: str | None, workspace: str | None, as_json: bool) -> None:
    """Show address, TLS, limits, and problems of certificates; on a cluster, number and size of the pods too."""
    _print(open_router(workspace, target).show(), as_json)


@router.command(short_help="Show the past decisions on the size of a cluster's router.")
@router_target_option
@click.option(
    "-n", "--lines", default=20, show_default=True, type=click.IntRange(min=1), help="Print only the newest decisions."
)
@workspace_option
@json_option
def scaling(target: str | None, lines: int, workspace: str | None, as_json: bool) -> None:
    """Show the past decisions of the self-scaling of a cluster's router: time (UTC), change and reason.

    `mljupyter router show --target NAME` shows the present size.
    """
    found = open_router(workspace, target)
    decisions = found.scaling_history(lines)
    if as_json:
        print_document([item.document() for item in decisions])
    elif decisions:
        print_table([column.upper() for column in ROUTER_COLUMNS], router_decision_rows(decisions))
    elif found.show().size is None:
        say("This router is one process, and has one size. Name an attached cluster: --target NAME")
    else:
        say("No decisions yet.")


@router.command(short_help="Set the address and the host names of the router.")
@click.argument("address", required=False)
@click.option(
    "--allow-without-authentication",
    is_flag=True,
    help="Allow endpoints without keys and tokens.",
)
@click.option("--host", "hosts", multiple=True, help="Accept requests for this host name as well; may be repeated.")
@click.option("--own-hosts-only", is_flag=True, help="Remove all host names that --host has added.")
@workspace_option
@json_option
def listen(
    address: str | None,
    allow_without_authentication: bool,
    hosts: tuple[str, ...],
    own_hosts_only: bool,
    workspace: str | None,
    as_json: bool,
) -> None:
    """Listen on ADDRESS: 127.0.0.1 for this machine only, 0.0.0.0 for all of its addresses.

    On 127.0.0.1, endpoints without keys and tokens accept only host names of this machine, so that web pages cannot
    call them. A proxy in front of the router that uses another host name needs --host NAME.
    """
    found = open_workspace(workspace).router
    record = found.listen(
        address,
        allow_without_authentication=allow_without_authentication,
        hosts=hosts if hosts or own_hosts_only else None,
    )
    _print(record, as_json)


@router.command(short_help="Turn TLS on or off.")
@click.option("--label", help="Leaf domain label of a certificate that the workspace signs and renews.")
@click.option("--certificate", type=click.Path(dir_okay=False), help="PEM file of your own certificate chain.")
@click.option("--key", type=click.Path(dir_okay=False), help="PEM file of its private key.")
@click.option("--host", help="Host name that clients use.")
@click.option(
    "--secret", metavar="NAME", help="On a cluster: Secret of the type kubernetes.io/tls, such as one of cert-manager."
)
@click.option("--overwrite-existing-domain", is_flag=True, help="Replace the present label.")
@click.option(
    "--plain-http",
    type=click.Choice(["redirect", "close"]),
    default="redirect",
    show_default=True,
    help="Treatment of plain HTTP on the TLS port: redirect to https, or close the connection.",
)
@click.option("--off", is_flag=True, help="Serve without TLS.")
@router_target_option
@workspace_option
@json_option
def tls(
    label: str | None,
    certificate: str | None,
    key: str | None,
    host: str | None,
    secret: str | None,
    overwrite_existing_domain: bool,
    plain_http: str,
    off: bool,
    target: str | None,
    workspace: str | None,
    as_json: bool,
) -> None:
    """Serve with TLS: with --label, with --certificate, --key and --host, or with --secret and --host."""
    found = open_router(workspace, target)
    if off:
        _print(found.disable_tls(), as_json)
        return
    record = found.enable_tls(
        certificate_file=certificate,
        key_file=key,
        host=host,
        secret_name=secret,
        leaf_domain_label=label,
        overwrite_existing_domain=overwrite_existing_domain,
        plain_http=plain_http,
    )
    _print(record, as_json)


@router.command(short_help="Print how clients can trust the certificate.")
@router_target_option
@workspace_option
def trust(target: str | None, workspace: str | None) -> None:
    """Print how to make clients trust the router's certificate (the CA file and examples)."""
    say(open_router(workspace, target).how_to_trust())


@router.command(short_help="Change limits of connections, memory and tokens.")
@click.option("--headers-seconds", type=float, help="Longest time to receive the headers of a request.")
@click.option("--request-seconds", type=float, help="Longest time to receive a whole request.")
@click.option("--idle-seconds", type=float, help="Longest time without data between requests of a connection.")
@click.option("--max-connections", type=int, help="Largest number of connections at a time.")
@click.option("--max-memory-mb", type=int, help="Memory limit of the router in MB.")
@click.option("--token-seconds", type=int, help="Lifetime of new tokens.")
@router_target_option
@workspace_option
@json_option
def limits(
    headers_seconds: float | None,
    request_seconds: float | None,
    idle_seconds: float | None,
    max_connections: int | None,
    max_memory_mb: int | None,
    token_seconds: int | None,
    target: str | None,
    workspace: str | None,
    as_json: bool,
) -> None:
    """Change limits of connections and memory, and the lifetime of tokens; other limits stay the same.

    `mljupyter router show` prints the present values.
    """
    found = open_router(workspace, target)
    record = found.set_limits(
        headers_seconds=headers_seconds,
        request_seconds=request_seconds,
        idle_seconds=idle_seconds,
        max_connections=max_connections,
        max_memory_mb=max_memory_mb,
    )
    _print(found.set_token_lifetime(token_seconds) if token_seconds is not None else record, as_json)


def _print(record: RouterRecord, as_json: bool) -> None:
    if as_json:
        print_document(record.document())
        return
    spec, limits = record.spec, record.spec.limits
    fields = [("Address", f"{spec.address}:{record.port}"), ("TLS", "off" if spec.tls is None else "on")]
    if spec.hosts:
        fields.append(("Further hosts", ", ".join(spec.hosts)))
    for name, one in sorted(record.certificates.items()):
        fields.append(
            (f"Certificate {name}".strip(), f"{', '.join(one.names)}; ends {one.not_after:%Y-%m-%d %H:%M} UTC")
        )
    if spec.tls is not None:
        fields.append(("Plain HTTP", spec.plain_http.value))
    default_memory = "half of a pod's limit" if record.size is not None else "a quarter of the machine's"
    fields += [
        ("Headers within", f"{limits.headers_seconds:g} s"),
        ("Requests within", f"{limits.request_seconds:g} s"),
        ("Idle connections", f"closed after {limits.idle_seconds:g} s"),
        ("Connections", f"at most {limits.max_connections}"),
        (
            "Memory",
            f"at most {limits.max_memory_mb} MB" if limits.max_memory_mb else f"at most {default_memory}",
        ),
        ("Tokens", f"valid for {spec.token_seconds} s"),
    ]
    if record.size is not None:
        fields += router_size_fields(record.size)
    print_fields(fields)
    for problem in record.problems:
        say(problem.text())
