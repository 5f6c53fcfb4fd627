// runes everywhere: what is reactive is said to be.
export default { compilerOptions: { runes: true } };
