package capability

import (
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
)

// term is a thing that documents name in several ways. Each phrase is a whole statement, folded, without articles and
// remarks in brackets. A phrase that stands under several terms means all of them.
type term struct {
	name    string
	phrases []string
}

// The terms that are places too, and so are compared with paths.
const (
	termWorking = "working-directory"
	termAccount = "local-files"
)

var workingDirectory = term{termWorking, []string{
	"current working directory", "working directory", "files in current working directory", "files in working directory",
	"files and directories in current working directory", "current working directory files", "working directory files", "cwd files", "files in cwd",
	"workspace files", "open files and workspace files", "files in workspace", "new files in workspace", "project files",
}}

// vocabulary is all the words that are known, by field. docs/compatibility.md has the same table.
var vocabulary = map[v1alpha1.CapabilityField][]term{
	v1alpha1.FieldReads: {
		workingDirectory,
		{"git-history", []string{"git history", "git log", "git history and status", "git status and history", "git history and diffs"}},
		{"git-status", []string{"git status", "git history and status", "git status and history"}},
		{"git-diff", []string{"git diff", "git diffs", "git history and diffs"}},
		{"shell-output", []string{"shell output", "shell command output", "terminal output", "command output", "output of shell commands"}},
		{"environment", []string{"environment variables", "environment variables exposed to shell session"}},
		{"prompt", []string{
			"current prompt", "current task", "current prompt or task", "user prompt", "user prompts", "user text", "text user types", "text that user types",
		}},
		{"uploads", []string{"uploaded files", "user uploads", "files user uploads", "files that user uploads"}},
		{"web-pages", []string{"web pages", "fetched web pages", "web pages that it fetches"}},
	},
	v1alpha1.FieldWrites: {
		workingDirectory,
		{termAccount, []string{
			"shell-writable destinations", "shell-writable destinations user's account can reach", "shell-writable places",
			"any local file", "local files", "local filesystem",
		}},
		{"git-commits", []string{"git commits", "git commits and branches"}},
		{"git-branches", []string{"git branches", "git commits and branches"}},
		{"session-sandbox", []string{"session sandbox", "session sandbox only"}},
	},
	v1alpha1.FieldAccesses: {
		{"mcp-servers", []string{
			"mcp servers", "configured mcp servers", "mcp servers that user configured", "mcp servers configured by user",
			"mcp servers configured in .claude/mcp.json",
		}},
		{"web-search", []string{"web search", "google search"}},
		{"google-search", []string{"google search"}},
	},
	v1alpha1.FieldSpends: {
		{"model-tokens", []string{
			"model tokens", "llm tokens", "inference tokens", "model tokens of user's own api key",
			"claude api tokens", "claude api tokens per session", "openai api tokens", "gemini api tokens",
		}},
		{"claude-tokens", []string{"claude api tokens", "claude api tokens per session"}},
		{"openai-tokens", []string{"openai api tokens"}},
		{"gemini-tokens", []string{"gemini api tokens"}},
		{"subscription-quota", []string{"subscription quota", "quota of user's subscription", "quota of subscription", "quota of user's plan"}},
	},
	v1alpha1.FieldExposes: {
		{"files-to-model", []string{
			"file contents sent to model for inference", "file contents sent to claude api for inference",
			"file contents sent to openai for inference", "file contents sent to gemini api for inference",
		}},
		{"files-to-claude", []string{"file contents sent to claude api for inference"}},
		{"files-to-openai", []string{"file contents sent to openai for inference"}},
		{"files-to-gemini", []string{"file contents sent to gemini api for inference"}},
		{"shell-output-to-model", []string{
			"shell output sent to model for inference", "shell output included in api context",
			"shell output sent to openai for inference", "shell output sent to gemini api for inference",
		}},
		{"conversation", []string{"conversation", "conversation text"}},
		{"uploads", []string{"uploaded files"}},
	},
}

// phraseTerms finds the terms of a phrase, by field.
var phraseTerms = func() map[v1alpha1.CapabilityField]map[string][]string {
	found := map[v1alpha1.CapabilityField]map[string][]string{}
	for field, terms := range vocabulary {
		found[field] = map[string][]string{}
		for _, term := range terms {
			for _, phrase := range term.phrases {
				found[field][phrase] = append(found[field][phrase], term.name)
			}
		}
	}
	return found
}()

// localNouns end a write to a local file that has no name: "Local audit report".
var localNouns = words("file", "files", "report", "reports", "log", "logs", "transcript", "transcripts", "cache", "database", "folder", "directory")

// maxLocalWords bounds how many words a local file is named with.
const maxLocalWords = 5

// termsOf gives the terms that a statement means as a whole; none where it says anything else.
func termsOf(field v1alpha1.CapabilityField, made *statement) []string {
	if terms := phraseTerms[field][made.plain]; terms != nil {
		return terms
	}
	if field != v1alpha1.FieldWrites {
		return nil
	}
	said := made.words
	if len(said) > 0 && (said[0] == "optional" || said[0] == "optionally") {
		said = said[1:]
	}
	if len(said) > 1 && len(said) <= maxLocalWords && said[0] == "local" && localNouns[said[len(said)-1]] && !slices.ContainsFunc(said, func(word string) bool { return joiners[word] }) {
		return []string{termAccount}
	}
	return nil
}

// placeOfTerms gives the place that terms mean; nil where they mean none.
func placeOfTerms(terms []string) *place {
	switch {
	case slices.Contains(terms, termWorking):
		return &place{root: rootWorking, segments: []string{"**"}}
	case slices.Contains(terms, termAccount):
		return &place{root: rootAccount}
	default:
		return nil
	}
}
