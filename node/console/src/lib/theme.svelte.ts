/** Light, dark, or as the system has it. */
export type Theme = 'system' | 'light' | 'dark';

const KEY = 'micro-mq.theme';
const THEMES: Theme[] = ['system', 'light', 'dark'];

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY) as Theme | null;
    return value && THEMES.includes(value) ? value : 'system';
  } catch {
    return 'system'; // a browser that keeps nothing
  }
}

export const theme = $state({ chosen: stored(), dark: false });

const system = matchMedia('(prefers-color-scheme: dark)');

/** Shows the theme that is chosen, and follows the system if that is what was chosen. */
export function applyTheme(): void {
  theme.dark = theme.chosen === 'dark' || (theme.chosen === 'system' && system.matches);
  document.documentElement.dataset['theme'] = theme.dark ? 'dark' : 'light';
}

system.addEventListener('change', applyTheme);

export function nextTheme(): void {
  theme.chosen = THEMES[(THEMES.indexOf(theme.chosen) + 1) % THEMES.length] ?? 'system';
  try {
    localStorage.setItem(KEY, theme.chosen);
  } catch {
    // chosen for this page alone
  }
  applyTheme();
}
