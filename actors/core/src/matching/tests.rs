mod directory;
mod trie;
