import { Clipboard, Dialog, InputDialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';

import { MLJupyterError } from './api';
import { chosenEndpoint } from './choice';
import { CommandIDs } from './commands';
import type { IModel } from './documents';
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

/** Delete a version of a model after a question; return whether it was deleted. */
export async function deleteModel(
  mlj: IMLJupyter,
  model: IModel,
  trans: TranslationBundle
): Promise<boolean> {
  const name = `${model.name}:${model.version}`;
  const body = trans.__('The files of the model are removed from the workspace.');
  if (!(await confirmed(trans.__('Delete model %1?', name), body, trans))) {
    return false;
  }
  const work = mlj.api.deleteModel(mlj.endpoints.workspace, model);
  return told(work, trans.__('Deleting model %1 …', name));
}

/** Add the commands that change an endpoint, or that copy how it is called. */
export function addActions(
  commands: CommandRegistry,
  mlj: IMLJupyter,
  trans: TranslationBundle
): void {
  const { api, endpoints } = mlj;

  const add = (
    id: string,
    label: string,
    act: (name: string) => Promise<unknown>,
    isVisible: (name: string) => boolean = () => true
  ) => {
    commands.addCommand(id, {
      label: args => (args.isPalette ? trans.__('%1 an endpoint …', label) : label),
      isVisible: args => typeof args.name !== 'string' || isVisible(args.name),
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
  add(CommandIDs.rollBack, trans.__('Roll back'), name =>
    told(api.act(endpoints.workspace, name, 'rollback'), trans.__('Rolling back %1 …', name))
  );
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
