import type { TranslationBundle } from '@jupyterlab/translation';

import type { Api, MLJupyterError } from './api';
import { VERSION } from './version';

/** Why nothing of mljupyter works on this page, and the command that mends it. */
export interface IMissing {
  message: string;
  command: string;
}

/** Ask the server for its part of the extension; return what is wrong with it, or null. */
export async function missingPart(api: Api, trans: TranslationBundle): Promise<IMissing | null> {
  let version: string | null;
  try {
    version = await api.version();
  } catch (error) {
    const { message, hint } = error as Partial<MLJupyterError>;
    return { message: message ?? String(error), command: hint ?? '' };
  }
  if (version === null) {
    return {
      message: trans.__(
        'This Jupyter server does not have the server extension of mljupyter. Enable it, and start the server again:'
      ),
      command: 'jupyter server extension enable mljupyter.labserver'
    };
  }
  if (version !== VERSION) {
    return {
      message: trans.__(
        'The page has version %1 of mljupyter, the server %2. Install one version, start the server again, and reload:',
        VERSION,
        version
      ),
      command: 'pip install --upgrade "mljupyter[lab]"'
    };
  }
  return null;
}
