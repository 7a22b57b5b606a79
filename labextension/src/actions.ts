import { Clipboard, Dialog, InputDialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';

import { MLJupyterError } from './api';
import { describing } from './arguments';
import { chosenEndpoint } from './choice';
import { CommandIDs } from './commands';
import type { IEndpoint } from './documents';
import { isOnlyOnServer } from './listing';
import type { IMLJupyter } from './tokens';

/** Return an error as people read it: what is wrong, and the way out. */
export function textOf(error: unknown): string {
  if (error instanceof MLJupyterError) {
    return [error.message, error.hint].filter(Boolean).join('\n');
  }
  return error instanceof Error ? error.message : String(error);
}

/** Show that something is under way, then how it has ended. */
async function told(work: Promise<string>, pending: string): Promise<boolean> {
  const id = Notification.emit(pending, 'in-progress', { autoClose: false });
  try {
    const message = await work;
    Notification.update({ id, message, type: 'success', autoClose: 5000 });
    return true;
  } catch (error) {
    Notification.update({ id, message: textOf(error), type: 'error', autoClose: false });
    return false;
  }
}

/** Ask before something is deleted; the answer that a quick Enter gives is no. */
async function confirmed(title: string, body: string, trans: TranslationBundle): Promise<boolean> {
  const answer = await showDialog({
    title,
    body,
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: trans.__('Delete') })],
    defaultButton: 0
  });
  return answer.button.accept;
}

/** Return a sentence about a scoring URI that this browser cannot reach; empty for another one. */
export function whereItAnswers(uri: string, trans: TranslationBundle): string {
  return isOnlyOnServer(uri, window.location.hostname)
    ? trans.__('It answers only on the machine of the Jupyter server. Try it works from here.')
    : '';
}

/** Delete a version of a model after a question, which says first what uses it. */
async function deleteModel(mlj: IMLJupyter, id: string, trans: TranslationBundle): Promise<void> {
  const { workspace } = mlj.endpoints;
  let users: string[];
  try {
    users = await mlj.api.usersOfModel(workspace, id);
  } catch (error) {
    Notification.error(textOf(error), { autoClose: false });
    return;
  }
  if (users.length > 0) {
    await showDialog({
      title: trans.__('Model %1 is in use', id),
      body: trans.__(
        'It is used by %1. Deploy another model there, or delete those first.',
        users.join(', ')
      ),
      buttons: [Dialog.okButton()]
    });
    return;
  }
  const body = trans.__('Nothing uses it. The files of the model are removed from the workspace.');
  if (await confirmed(trans.__('Delete model %1?', id), body, trans)) {
    await told(mlj.api.deleteModel(workspace, id), trans.__('Deleting model %1 …', id));
  }
}

/** Delete a version of an image after a question. */
async function deleteImage(mlj: IMLJupyter, id: string, trans: TranslationBundle): Promise<void> {
  const body = trans.__(
    'It is removed from the workspace, and from its Docker engine or container registry.'
  );
  if (await confirmed(trans.__('Delete image %1?', id), body, trans)) {
    const work = mlj.api.deleteImage(mlj.endpoints.workspace, id);
    await told(work, trans.__('Deleting image %1 …', id));
  }
}

/** Let the browser download a version of a model, with the login of the page. */
function downloadModel(mlj: IMLJupyter, id: string): void {
  const link = document.createElement('a');
  link.href = mlj.api.modelAddress(mlj.endpoints.workspace, id);
  link.download = '';
  document.body.append(link);
  link.click();
  link.remove();
}

/** Add the commands on versions of models and images; the panel gives them the id as `model` or `image`. */
function addItemActions(
  commands: CommandRegistry,
  mlj: IMLJupyter,
  trans: TranslationBundle
): void {
  const add = (id: string, kind: string, label: string, act: (item: string) => unknown) => {
    commands.addCommand(id, {
      label,
      describedBy: describing({ [kind]: trans.__('NAME:VERSION') }),
      execute: async args => {
        const item = args[kind];
        if (typeof item === 'string') {
          await act(item);
        }
      }
    });
  };
  add(CommandIDs.downloadModel, 'model', trans.__('Download a model'), id => {
    downloadModel(mlj, id);
  });
  add(CommandIDs.deleteModel, 'model', trans.__('Delete a model'), id =>
    deleteModel(mlj, id, trans)
  );
  add(CommandIDs.deleteImage, 'image', trans.__('Delete an image'), id =>
    deleteImage(mlj, id, trans)
  );
}

/**
 * Return the state of an endpoint that a person looks at. Of two people who roll it back, the second one does not undo
 * what the first one did.
 */
function seen(row: IEndpoint | undefined): Record<string, string> {
  return row
    ? { generation: String(row.generation), ...(row.rollout ? { rollout: 'true' } : {}) }
    : {};
}

/** Add the commands that change an endpoint, or that copy how it is called. */
export function addActions(
  commands: CommandRegistry,
  mlj: IMLJupyter,
  trans: TranslationBundle
): void {
  const { api, endpoints } = mlj;
  addItemActions(commands, mlj, trans);

  const add = (
    id: string,
    label: string,
    act: (name: string) => Promise<unknown>,
    isVisible: (name: string) => boolean = () => true
  ) => {
    commands.addCommand(id, {
      label: args => (args.isPalette ? trans.__('%1 an endpoint …', label) : label),
      isVisible: args => typeof args.name !== 'string' || isVisible(args.name),
      describedBy: describing({ name: trans.__('The endpoint') }),
      execute: async args => {
        const name = await chosenEndpoint(endpoints, args, trans);
        if (name !== null) {
          await act(name);
        }
      }
    });
  };

  add(CommandIDs.scale, trans.__('Scale'), async name => {
    const row = endpoints.rows.get(name);
    const { value } = await InputDialog.getText({
      title: trans.__('Replicas of %1', name),
      label: trans.__('A number, or MIN:MAX for autoscaling'),
      text: String(row?.wanted ?? 1),
      okLabel: trans.__('Scale')
    });
    if (value !== null && value.trim() !== '') {
      const work = api.act(endpoints.workspace, name, 'scale', { replicas: value });
      await told(work, trans.__('Scaling %1 …', name));
    }
  });
  add(CommandIDs.restart, trans.__('Restart'), name =>
    told(api.act(endpoints.workspace, name, 'restart'), trans.__('Restarting %1 …', name))
  );
  add(CommandIDs.rollBack, trans.__('Roll back'), name => {
    const work = api.act(endpoints.workspace, name, 'rollback', seen(endpoints.rows.get(name)));
    return told(work, trans.__('Rolling back %1 …', name));
  });
  add(CommandIDs.remove, trans.__('Delete'), async name => {
    const body = trans.__(
      'Its replicas end, and its address does not answer any more. Its models stay registered.'
    );
    if (await confirmed(trans.__('Delete endpoint %1?', name), body, trans)) {
      await told(api.deleteEndpoint(endpoints.workspace, name), trans.__('Deleting %1 …', name));
    }
  });
  add(CommandIDs.copyUri, trans.__('Copy the scoring URI'), name => {
    const uri = endpoints.rows.get(name)?.uri ?? '';
    Clipboard.copyToSystem(uri);
    const copied = trans.__('The scoring URI of %1 is on the clipboard.', name);
    const where = whereItAnswers(uri, trans);
    Notification.success([copied, where].filter(Boolean).join(' '), {
      autoClose: where === '' ? 3000 : 10000
    });
    return Promise.resolve();
  });
  add(CommandIDs.copyClient, trans.__('Copy Python code that calls it'), async name => {
    try {
      Clipboard.copyToSystem((await api.clients(endpoints.workspace, name)).python);
      Notification.success(trans.__('Code that calls %1 is on the clipboard.', name), {
        autoClose: 3000
      });
    } catch (error) {
      Notification.error(textOf(error));
    }
  });
}
