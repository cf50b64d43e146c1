// Functions in the style of coding agents, as `{ name, description, properties, required }`.

const string = (description, more = {}) => ({ type: "string", description, ...more });
const number = (description, more = {}) => ({ type: "number", description, ...more });
const flag = (description, more = {}) => ({ type: "boolean", description, ...more });
const list = (items, description) => ({ type: "array", items, description });
const object = (properties, required) => ({ type: "object", properties, required, additionalProperties: false });

export const FUNCTIONS = [
  {
    name: "Bash",
    description:
      'Executes a given bash command in a persistent shell session with optional timeout.\n\nBefore executing the command, please follow these steps:\n1. If the command will create new directories or files, first use `ls` to verify the parent directory exists.\n2. Always quote file paths that contain spaces with double quotes (e.g., cd "path with spaces/file.txt").\n\nUsage notes:\n- The command argument is required.\n- You can specify an optional timeout in milliseconds (up to 600000ms / 10 minutes).\n- VERY IMPORTANT: You MUST avoid using search commands like `find` and `grep`. Instead use Grep, Glob, or Task.',
    properties: {
      command: string("The command to execute"),
      timeout: number("Optional timeout in milliseconds (max 600000)"),
      description: string(
        "Clear, concise description of what this command does in 5-10 words. Examples:\nInput: ls\nOutput: Lists files in current directory\n\nInput: npm install\nOutput: Installs package dependencies",
      ),
      run_in_background: flag("Set to true to run this command in the background. Use BashOutput to read the output later."),
    },
    required: ["command"],
  },
  {
    name: "Grep",
    description:
      'A powerful search tool built on ripgrep.\n\n  Usage:\n  - Supports full regex syntax (e.g., "log.*Error", "function\\s+\\w+")\n  - Filter files with glob parameter (e.g., "*.js", "**/*.tsx") or type parameter (e.g., "js", "py", "rust")\n  - Output modes: "content" shows matching lines, "files_with_matches" shows only file paths (default), "count" shows match counts',
    properties: {
      pattern: string("The regular expression pattern to search for in file contents"),
      path: string("File or directory to search in (rg PATH). Defaults to current working directory."),
      glob: string('Glob pattern to filter files (e.g. "*.js", "*.{ts,tsx}") - maps to rg --glob'),
      output_mode: string('Output mode. Defaults to "files_with_matches".', { enum: ["content", "files_with_matches", "count"] }),
      "-B": number('Number of lines to show before each match (rg -B). Requires output_mode: "content", ignored otherwise.'),
      "-A": number('Number of lines to show after each match (rg -A). Requires output_mode: "content", ignored otherwise.'),
      "-i": flag("Case insensitive search (rg -i)"),
      head_limit: number('Limit output to first N lines/entries, equivalent to "| head -N".'),
      multiline: flag("Enable multiline mode where . matches newlines and patterns can span lines (rg -U --multiline-dotall). Default: false."),
    },
    required: ["pattern"],
  },
  {
    name: "MultiEdit",
    description:
      "This is a tool for making multiple edits to a single file in one operation. Prefer this tool over the Edit tool when you need to make multiple edits to the same file.\n\nIMPORTANT:\n- All edits are applied in sequence, in the order they are provided\n- If any edit fails, none of the edits will be applied",
    properties: {
      file_path: string("The absolute path to the file to modify"),
      edits: {
        ...list(
          object(
            {
              old_string: string("The text to replace"),
              new_string: string("The text to replace it with (must be different from old_string)"),
              replace_all: flag("Replace all occurrences of old_string (default false).", { default: false }),
            },
            ["old_string", "new_string"],
          ),
          "Array of edit operations to perform sequentially on the file",
        ),
        minItems: 1,
      },
    },
    required: ["file_path", "edits"],
  },
  {
    name: "TodoWrite",
    description:
      "Use this tool to create and manage a structured task list for your current coding session. This helps you track progress, organize complex tasks, and demonstrate thoroughness to the user.",
    properties: {
      todos: list(
        object(
          {
            content: { type: "string", minLength: 1 },
            status: { type: "string", enum: ["pending", "in_progress", "completed"] },
            activeForm: { type: "string", minLength: 1 },
          },
          ["content", "status", "activeForm"],
        ),
        "The updated todo list",
      ),
    },
    required: ["todos"],
  },
  {
    name: "WebFetch",
    description:
      "- Fetches content from a specified URL and processes it using an AI model\n- Takes a URL and a prompt as input\n- Fetches the URL content, converts HTML to markdown\n- Includes a self-cleaning 15-minute cache for faster responses",
    properties: { url: string("The URL to fetch content from", { format: "uri" }), prompt: string("The prompt to run on the fetched content") },
    required: ["url", "prompt"],
  },
  {
    name: "shell",
    description:
      'Runs a shell command and returns its output.\n- The arguments to `shell` will be passed to execvp(). Most terminal commands should be prefixed with ["bash", "-lc"].\n- Always set the `workdir` param when using the shell function. Do not use `cd` unless absolutely necessary.',
    properties: {
      command: list({ type: "string" }, "The command to execute"),
      workdir: string("The working directory to execute the command in"),
      timeout_ms: number("The timeout for the command in milliseconds"),
      with_escalated_permissions: flag("Whether to request escalated permissions. Set to true if command needs to be run without sandbox restrictions"),
      justification: string("Only set if with_escalated_permissions is true. 1-sentence explanation of why we want to run this command."),
    },
    required: ["command"],
  },
  {
    name: "update_plan",
    description:
      "Updates the task plan.\nProvide an optional explanation and a list of plan items, each with a step and status.\nAt most one step can be in_progress at a time.\n",
    properties: {
      explanation: { type: "string" },
      plan: list(object({ step: { type: "string" }, status: string("One of: pending, in_progress, completed") }, ["step", "status"]), "The list of steps"),
    },
    required: ["plan"],
  },
  {
    name: "apply_patch",
    description:
      'Use the `apply_patch` tool to edit files.\nYour patch language is a stripped-down, file-oriented diff format:\n\n*** Begin Patch\n*** Add File: hello.txt\n+Hello world\n*** Update File: src/app.py\n*** Move to: src/main.py\n@@ def greet():\n-print("Hi")\n+print("Hello, world!")\n*** Delete File: obsolete.txt\n*** End Patch',
    properties: { input: string("The entire contents of the apply_patch command") },
    required: ["input"],
  },
  {
    name: "replace_in_file",
    description:
      "Request to replace sections of content in an existing file using SEARCH/REPLACE blocks that define exact changes to specific parts of the file. This tool should be used when you need to make targeted changes to specific parts of a file.",
    properties: {
      path: string("The path of the file to modify (relative to the current working directory)"),
      diff: string(
        "One or more SEARCH/REPLACE blocks following this exact format:\n------- SEARCH\n[exact content to find]\n=======\n[new content to replace with]\n+++++++ REPLACE\n\nCritical rules:\n1. SEARCH content must match the associated file section to find EXACTLY",
      ),
      task_progress: string("A checklist showing task progress after this tool use is completed. (See 'Updating Task Progress' section for more details)"),
    },
    required: ["path", "diff"],
  },
  {
    name: "browser_action",
    description:
      "Request to interact with a Puppeteer-controlled browser. Every action, except `close`, will be responded to with a screenshot of the browser's current state, along with any new console logs.",
    properties: {
      action: string("The action to perform.", { enum: ["launch", "click", "type", "scroll_down", "scroll_up", "close"] }),
      url: string("Use this for providing the URL for the `launch` action. Example: <url>http://localhost:3000/settings</url>"),
      coordinate: string("The X and Y coordinates for the `click` action, within the 900x600 resolution. Example: 450,300", { pattern: "^\\d+,\\d+$" }),
      text: string("The text to type, for the `type` action."),
    },
    required: ["action"],
  },
  {
    name: "lsp_diagnostics",
    description: "Returns the diagnostics of the language server for a file: errors, warnings and hints with their line and column. Call this after each edit.",
    properties: {
      filePath: string("The absolute path to the file"),
      severity: { type: "integer", minimum: 1, maximum: 4, default: 2, description: "The lowest severity: 1 = error, 2 = warning, 3 = information, 4 = hint" },
      range: { $ref: "#/$defs/Range" },
      include: { anyOf: [list({ type: "string" }), { type: "null" }], default: null, title: "Include" },
    },
    required: ["filePath"],
  },
  {
    name: "mcp__github__create_pull_request",
    description: "Create a new pull request in a GitHub repository",
    properties: {
      owner: string("Repository owner"),
      repo: string("Repository name"),
      title: string("PR title"),
      body: string("PR description"),
      head: string("Branch containing changes"),
      base: string("Branch to merge into"),
      draft: flag("Create as draft PR"),
      maintainer_can_modify: flag("Allow maintainer edits"),
    },
    required: ["owner", "repo", "title", "head", "base"],
  },
  {
    name: "query_database",
    description: "Run a read-only SQL query against the analytics warehouse. Returns at most 1,000 rows as CSV.",
    properties: {
      sql: string("A single SELECT statement"),
      parameters: list({ type: ["string", "number", "boolean", "null"] }, "Positional parameters, bound to $1, $2, ..."),
      started_after: string("ISO 8601 timestamp, e.g. 2026-01-31T00:00:00Z", { format: "date-time" }),
      max_bytes_billed: { type: "integer", exclusiveMinimum: 0, maximum: 1073741824, description: "Upper limit of scanned bytes" },
    },
    required: ["sql"],
  },
];

/** Writes a function's schema for one of three APIs. */
export const WRITERS = {
  messages: ({ name, description, properties, required }) => ({
    name,
    description,
    input_schema: { $schema: "http://json-schema.org/draft-07/schema#", ...object(properties, required) },
  }),
  completions: ({ name, description, properties, required }) => ({
    type: "function",
    function: { name, description, parameters: { type: "object", properties, required } },
  }),
  responses: ({ name, description, properties, required }) => ({
    type: "function",
    name,
    description,
    strict: false,
    parameters: object(properties, required),
  }),
};
