// Who looks at the console, and what they may do. A node without users asks nobody.

import { change, get, onUnauthorized } from './api';
import type { Identity, Role } from './types';

const RANKS: Role[] = ['viewer', 'operator', 'admin'];

class Account {
  /** Unknown until the node has answered. */
  identity = $state.raw<Identity | undefined>(undefined);
  needsLogin = $state(false);

  constructor() {
    onUnauthorized(() => (this.needsLogin = true));
  }

  async ask(): Promise<void> {
    try {
      this.identity = await get<Identity>('whoami');
      this.needsLogin = false;
    } catch {
      // who is not let in is asked to log in; what else is wrong, each page says
    }
  }

  async logIn(user: string, password: string): Promise<void> {
    this.identity = await change<Identity>('POST', 'login', {}, { user, password });
    this.needsLogin = false;
  }

  async logOut(): Promise<void> {
    await change('POST', 'logout');
    this.identity = undefined;
    this.needsLogin = true;
  }

  /** Whether there is any use in showing what takes this role; the node judges again. */
  may(role: Role): boolean {
    return this.identity === undefined || RANKS.indexOf(this.identity.role) >= RANKS.indexOf(role);
  }
}

export const account = new Account();
