import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { whereItAnswers } from './actions';
import type { Api } from './api';
import { CommandIDs } from './commands';
import type { IEndpoint, IImage, IModel, IRates, ITarget, IVersion } from './documents';
import type { Endpoints } from './endpoints';
import { clock } from './format';
import { Image } from './images';
import { endpointCell, linePoints, matching, sharesOf, usersOf } from './listing';
import type { EndpointMenu } from './menu';
import { Model } from './models';
import type { Preferences } from './preferences';
import { Section } from './section';
import type { IMissing } from './server';
import { useVirtualRows } from './virtual';

const MARKS: Record<string, string> = {
  Healthy: '●',
  Transitioning: '◐',
  Deleting: '◐',
  Unschedulable: '▲',
  Unhealthy: '■',
  Failed: '■'
};

const LOOK_SECONDS = 5;
const ROW_PIXELS = 52;

/** What the parts of the panel need. */
interface IParts {
  api: Api;
  commands: CommandRegistry;
  endpoints: Endpoints;
  menu: EndpointMenu;
  preferences: Preferences;
  trans: TranslationBundle;
  /** Begin to drag a cell with some code. */
  drag: (code: string, x: number, y: number) => void;
}

/** The dot and the word of a state. A reader who does not see colours reads the word. */
function State(props: { state: string }): React.JSX.Element {
  return (
    <span className={`mljlab-state mljlab-state-${props.state.toLowerCase()}`}>
      <span aria-hidden="true">{MARKS[props.state] ?? '○'}</span> {props.state}
    </span>
  );
}

const CHART_WIDTH = 60;
const CHART_HEIGHT = 14;

/** A small chart of the requests per second; a reader who does not see it hears the newest value. */
function Sparkline(props: { rates: IRates; trans: TranslationBundle }): React.JSX.Element | null {
  const { rates, trans } = props;
  const newest = rates.points.at(-2) ?? 0; // the last interval is not over yet
  const text =
    rates.p95 === null
      ? trans.__('%1 requests/s', newest)
      : trans.__('%1 requests/s, p95 %2 ms', newest, rates.p95);
  if (!rates.points.some(point => point > 0)) {
    return null;
  }
  return (
    <svg
      className="mljlab-chart"
      role="img"
      aria-label={text}
      viewBox={`0 -1 ${CHART_WIDTH} ${CHART_HEIGHT + 2}`}
    >
      <title>{text}</title>
      <polyline points={linePoints(rates.points, CHART_WIDTH, CHART_HEIGHT)} />
    </svg>
  );
}

/** A version of an endpoint; `told` is the problem that the endpoint's own line tells already. */
function Version(props: {
  version: IVersion;
  told: string;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { version, told, trans } = props;
  return (
    <li className="mljlab-version">
      <b>{version.name}</b> {version.share} %{version.isDefault ? ` ${trans.__('default')}` : ''}{' '}
      <span className="mljlab-quiet">
        {trans.__('%1/%2 replicas', version.ready, version.wanted)}
        {version.models.length > 0 ? ` · ${version.models.join(', ')}` : ''}
      </span>
      {version.problem && version.problem.message !== told ? (
        <p className="mljlab-problem">{version.problem.message}</p>
      ) : null}
    </li>
  );
}

/** A line of the list, its menu, and its versions when it is expanded. */
function Endpoint(props: {
  row: IEndpoint;
  expanded: boolean;
  onToggle: () => void;
  parts: IParts;
  /** The place of the row in the list, of which only a part is in the page. */
  place: { index: number; of: number; measure: (element: Element | null) => void };
}): React.JSX.Element {
  const { row, expanded, onToggle, parts, place } = props;
  const { commands, endpoints, trans } = parts;
  const rates = endpoints.rates.get(row.name);
  return (
    <li
      className="mljlab-endpoint"
      ref={place.measure}
      data-index={place.index}
      aria-setsize={place.of}
      aria-posinset={place.index + 1}
      draggable
      onDragStart={event => {
        event.preventDefault();
        parts.drag(endpointCell(row.name), event.clientX, event.clientY);
      }}
      onContextMenu={event => {
        event.preventDefault();
        event.stopPropagation();
        parts.menu.open(commands, row.name, event.clientX, event.clientY);
      }}
    >
      <div className="mljlab-line">
        <button
          type="button"
          className="mljlab-toggle"
          aria-expanded={expanded}
          aria-label={trans.__('Versions of %1', row.name)}
          onClick={onToggle}
        >
          {expanded ? '▾' : '▸'}
        </button>
        <button
          type="button"
          className="mljlab-name"
          title={trans.__('Open the monitor of %1', row.name)}
          onClick={() => void commands.execute(CommandIDs.monitor, { name: row.name })}
        >
          {row.name}
        </button>
        <State state={row.state} />
      </div>
      <div className="mljlab-line mljlab-quiet">
        <span className="mljlab-grow">
          {row.target} · {trans.__('%1/%2 replicas', row.ready, row.wanted)}
          {row.versions.length > 1 ? ` · ${sharesOf(row)}` : ''}
        </span>
        {rates === undefined ? null : <Sparkline rates={rates} trans={trans} />}
        <button
          type="button"
          className="mljlab-toggle"
          aria-haspopup="menu"
          aria-label={trans.__('Actions on %1', row.name)}
          onClick={event => {
            const { left, bottom } = event.currentTarget.getBoundingClientRect();
            parts.menu.open(commands, row.name, left, bottom, event.currentTarget);
          }}
        >
          ⋯
        </button>
      </div>
      {row.problem ? <p className="mljlab-problem">{row.problem.message}</p> : null}
      {expanded ? (
        <>
          <ul className="mljlab-versions">
            {row.versions.map(version => (
              <Version
                key={version.name}
                version={version}
                told={row.problem?.message ?? ''}
                trans={trans}
              />
            ))}
          </ul>
          {row.uri === '' ? null : (
            <p className="mljlab-uri">
              <code>{row.uri}</code>{' '}
              <span className="mljlab-quiet">{whereItAnswers(row.uri, trans)}</span>
            </p>
          )}
        </>
      ) : null}
    </li>
  );
}

/** The list of endpoints. Only the lines near the visible part are drawn, so a thousand stay smooth. */
function EndpointList(props: { search: string; parts: IParts }): React.JSX.Element {
  const { search, parts } = props;
  const { endpoints, commands, trans } = parts;
  const [expanded, setExpanded] = React.useState<ReadonlySet<string>>(new Set());
  const box = React.useRef<HTMLDivElement>(null);
  const rows = React.useMemo(
    () => matching(endpoints.rows.values(), search),
    [endpoints.rows, search]
  );
  const keys = React.useMemo(() => rows.map(row => row.name), [rows]);
  const { items, above, below, measure } = useVirtualRows(keys, box, ROW_PIXELS);
  const shown = items.filter(({ index }) => index < rows.length);
  React.useEffect(() => {
    endpoints.showRates(shown.map(({ index }) => rows[index].name));
  });
  const toggle = (name: string) => {
    const next = new Set(expanded);
    if (!next.delete(name)) {
      next.add(name);
    }
    setExpanded(next);
  };
  if (endpoints.error !== '') {
    return <p className="mljlab-problem">{endpoints.error}</p>;
  }
  if (rows.length === 0) {
    if (endpoints.freshness === 'loading' && endpoints.workspace !== '') {
      return <p className="mljlab-quiet">{trans.__('Loading …')}</p>;
    }
    if (endpoints.problems.some(({ read }) => !read)) {
      return <></>; // what is above the list says that they are not known
    }
    if (endpoints.rows.size > 0) {
      return <p className="mljlab-quiet">{trans.__('No endpoint matches “%1”.', search)}</p>;
    }
    return (
      <div className="mljlab-empty">
        <p>
          {trans.__(
            'An endpoint answers requests with a model. There is none in this workspace yet.'
          )}
        </p>
        <button
          type="button"
          className="jp-mod-styled jp-mod-accept"
          onClick={() => void commands.execute(CommandIDs.deploy)}
        >
          {trans.__('Deploy a model')}
        </button>
        <p>
          {trans.__('Or in a notebook:')} <code>{'%deploy NAME ESTIMATOR'}</code>
        </p>
      </div>
    );
  }
  return (
    <div className="mljlab-scroll" ref={box}>
      <ul className="mljlab-list" style={{ paddingTop: above, paddingBottom: below }}>
        {shown.map(({ index }) => {
          const row = rows[index];
          return (
            <Endpoint
              key={row.name}
              row={row}
              expanded={expanded.has(row.name)}
              onToggle={() => {
                toggle(row.name);
              }}
              parts={parts}
              place={{ index, of: rows.length, measure }}
            />
          );
        })}
      </ul>
    </div>
  );
}

function Body(props: IParts): React.JSX.Element {
  const { api, commands, endpoints, preferences, trans } = props;
  const [names, setNames] = React.useState<string[]>([]);
  const [search, setSearch] = React.useState('');
  const [problem, setProblem] = React.useState('');
  React.useEffect(() => {
    let timer = 0;
    const look = () => {
      api.workspaces().then(
        found => {
          setNames(found.names);
          setProblem('');
          if (endpoints.workspace === '' && found.default !== '') {
            endpoints.choose(found.default);
          } else if (endpoints.workspace === '') {
            timer = window.setTimeout(look, LOOK_SECONDS * 1000); // the first deployment creates one
          } else if (endpoints.error !== '') {
            if (found.names.includes(endpoints.workspace)) {
              endpoints.followAgain();
            }
            timer = window.setTimeout(look, LOOK_SECONDS * 1000);
          }
        },
        (error: unknown) => {
          setProblem(error instanceof Error ? error.message : String(error));
          timer = window.setTimeout(look, LOOK_SECONDS * 1000);
        }
      );
    };
    look();
    return () => {
      window.clearTimeout(timer);
    };
  }, [endpoints.error]);
  return (
    <div className="mljlab-Panel-body">
      {problem !== '' ? <p className="mljlab-problem">{problem}</p> : null}
      <div className="mljlab-line">
        <label className="mljlab-grow">
          {trans.__('Workspace')}{' '}
          <select
            value={endpoints.workspace}
            onChange={event => {
              endpoints.choose(event.target.value);
            }}
          >
            {names.map(name => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <button
          type="button"
          className="mljlab-button"
          onClick={() => void commands.execute(CommandIDs.deploy)}
        >
          {trans.__('Deploy')}
        </button>
      </div>
      {endpoints.freshness === 'stale' ? (
        <p className="mljlab-problem" role="status">
          {trans.__(
            'The server does not answer: this is what was there at %1. Connecting again …',
            clock(endpoints.asOf)
          )}
        </p>
      ) : null}
      {endpoints.problems.map(({ target, message, asOf }) => (
        <p className="mljlab-problem" role="status" key={target}>
          {target}: {message}{' '}
          {asOf === null
            ? trans.__('Its endpoints are not known yet. Trying again …')
            : trans.__('This is what was there at %1. Trying again …', clock(asOf * 1000))}
        </p>
      ))}
      <h3>{trans.__('Endpoints')}</h3>
      <input
        type="search"
        className="mljlab-search"
        aria-label={trans.__('Search endpoints')}
        placeholder={trans.__('Search')}
        value={search}
        onChange={event => {
          setSearch(event.target.value);
        }}
      />
      <EndpointList search={search} parts={props} />
      <Section<IModel>
        title={trans.__('Models')}
        workspace={endpoints.workspace}
        preferences={preferences}
        read={() => api.models(endpoints.workspace)}
        empty={trans.__('No models yet.')}
        button={trans.__('Register a model')}
        onButton={() => void commands.execute(CommandIDs.register)}
        trans={trans}
        line={(model, again) => (
          <Model
            key={`${model.name}:${model.version}`}
            model={model}
            users={usersOf(endpoints.rows.values(), model)}
            commands={commands}
            drag={props.drag}
            again={again}
            trans={trans}
          />
        )}
      />
      <Section<IImage>
        title={trans.__('Images')}
        workspace={endpoints.workspace}
        preferences={preferences}
        read={() => api.images(endpoints.workspace)}
        empty={trans.__(
          'No images: a deployment to containers or a cluster builds one. Deploy a model there to see it here.'
        )}
        button={trans.__('Deploy to containers')}
        onButton={() => void commands.execute(CommandIDs.deploy, { to: 'docker' })}
        trans={trans}
        line={(image, again) => (
          <Image
            key={`${image.name}:${image.version}`}
            image={image}
            commands={commands}
            again={again}
            trans={trans}
          />
        )}
      />
      <Section<ITarget>
        title={trans.__('Compute targets')}
        workspace={endpoints.workspace}
        preferences={preferences}
        read={() => api.targets(endpoints.workspace)}
        empty=""
        button={trans.__('Attach a cluster')}
        onButton={() => void commands.execute(CommandIDs.attach)}
        trans={trans}
        line={target => (
          <li key={target.name} className="mljlab-target">
            <b>{target.name}</b> <span className="mljlab-quiet">{target.about}</span>
            {target.problem !== '' ? <p className="mljlab-problem">{target.problem}</p> : null}
          </li>
        )}
      />
    </div>
  );
}

/** The side panel: a workspace with its endpoints, models, images and compute targets. */
export class SidePanel extends ReactWidget {
  constructor(private readonly parts: IParts) {
    super();
    this.id = 'mljupyter-endpoints';
    this.addClass('mljlab-Panel');
    this.node.setAttribute('role', 'region');
    this.node.tabIndex = -1;
    this.node.setAttribute('aria-label', parts.trans.__('mljupyter endpoints'));
    this.title.caption = parts.trans.__(
      'Endpoints, models, images and compute targets of mljupyter'
    );
  }

  /** Take the focus, so that the next Tab leads to the first control of the panel. */
  protected onActivateRequest(): void {
    this.node.focus();
  }

  protected render(): React.JSX.Element {
    return (
      <UseSignal signal={this.parts.endpoints.changed}>{() => <Body {...this.parts} />}</UseSignal>
    );
  }
}

/** What the side panel says where the server does not have the extension, or another version of it. */
export class MissingPanel extends ReactWidget {
  constructor(private readonly missing: IMissing) {
    super();
    this.id = 'mljupyter-endpoints';
    this.addClass('mljlab-Panel');
  }

  protected render(): React.JSX.Element {
    return (
      <div className="mljlab-Panel-body" role="alert">
        <p>{this.missing.message}</p>
        <pre>{this.missing.command}</pre>
      </div>
    );
  }
}
