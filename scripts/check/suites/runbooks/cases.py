"""What the commands in docs/operate need beside the programs, and why some can't run here."""

ACCOUNT, REGION = "123456789012", "us-east-1"
# The parameters that docs/operate/first-deployment.md adds to the profile prod.
OWN = {
    "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:farebox-alarms",
    "MonthlyBudget": "100",
    "AiProvider": "bedrock,openai",
    "BedrockModel": "amazon.nova-lite-v1:0",
    "BedrockModelArns": f"arn:aws:bedrock:{REGION}::foundation-model/amazon.nova-*",
    "OpenAiModel": "gpt-5",
}
# The blocks that can't run here, by page and by the beginning of the block.
CANT_RUN = {
    ("configuration.md", "ollama pull"): "downloads a model",
    ("import-users.md", "umask 077 && rm -f users.jsonl && mongosh"): "needs LibreChat's MongoDB",
    ("import-users.md", "umask 077 && rm -f users.jsonl && sqlite3"): "needs Open WebUI's database",
    ("import-users.md", "umask 077 && rm -f users.jsonl && psql"): "needs Supabase's PostgreSQL",
    ("move-from-django.md", "python manage.py shell <"): "needs a Django project",
    ("move-from-django.md", 'python manage.py shell -c "from django.apps import apps; print'): "needs a Django project",
    ("move-from-django.md", 'python manage.py shell -c "from django.apps import apps; from'): "needs a Django project",
    ("move-from-django.md", "umask 077 && rm -f dump.json && python manage.py dumpdata"): "needs a Django project; scripts/check/move-in runs it in five",
    ("move-from-django.md", "umask 077 && sqlite3"): "needs SQLite's own program",
    ("observe.md", "docker run"): "runs Jaeger",
    ("release.md", "scripts/dev/record-store"): "builds an earlier release for half an hour",
}
# The commands in sentences that can't run here, by their beginning.
CANT_RUN_SPANS = {
    "aws sso login": "opens a browser",
    "aws acm import-certificate": "needs a certificate's private key",
    "aws apigateway get-export": "moto can't export an API",
    "URL=$(output Url) && TOKEN=": "needs jq",
}
# The table that scripts/restore has just restored.
RESTORED = """"$(aws dynamodb list-tables --query "TableNames[?starts_with(@, 'farebox-prod-users-')] | [-1]" --output text)\""""
# Calls that moto doesn't know. The AWS CLI compares them with AWS's models and doesn't send them.
NOT_IN_MOTO = [
    ["backup", "list-copy-jobs"],
    ["backup", "update-global-settings"],
    ["backup", "update-region-settings"],
    ["ce", "update-cost-allocation-tags-status"],
    ["cloudformation", "continue-update-rollback"],
    ["cloudtrail", "put-event-selectors"],
    ["dynamodb", "restore-table-from-backup"],
    ["service-quotas", "request-service-quota-increase"],
]
# Calls that fail where all is well: an account for production has no role for rehearsals.
MISSING = [["iam", "get-role"]]
# A waiter for a state that moto's stacks never have.
NEVER = ["cloudformation", "wait", "stack-rollback-complete"]
# Values that a reader fills in, by page and section, by page, or for all pages. A value may be a
# function of the account.
VALUES = {
    "": {
        r"eu-central-1": REGION,
        r"2026-11-21T10:\d0:00Z": lambda account: account.now(),
        r"111122223333": ACCOUNT,
        r"/srv/shop/db\.sqlite3": "db.sqlite3",
        r"-OWNER-": "owner",
        r"\bREPOSITORY=REPOSITORY\b": "REPOSITORY=shop",
        r"\bOWNER/(NAME|REPOSITORY)\b": "owner/shop",
        r"(?<!\$)\bRUN\b(?!=)": "1",
        r"\bUSER\b": "ann",
        r"\bID\b": lambda account: account.account_id("ann"),
        r"(?<![$/{])\bSTACK\b(?![=/])": "farebox-prod",
        r"https?://127\.0\.0\.1:11434": "http://127.0.0.1:1",
    },
    # The recorded store has an account with this name.
    "accounts.md#Administrators": {r"\broot\b": "second-root"},
    "backup.md": {r"\bNAME\b": lambda account: account.tables["UsersTable"]},
    "backup.md#Practise a restore": {r"\bNAME\b": RESTORED},
    "first-deployment.md#The workflow": {r"farebox-deploy-rehearsal": "farebox-deploy-production"},
    "release.md#Something is wrong after a release": {
        r"\bNAME\b": lambda account: account.function(),
        r"--function-version 41\b": "--function-version 1",
        r"--qualifier 12\b": lambda account: f"--qualifier {account.spare_version()}",
    },
    "release.md#If the first deployment fails": {r"\bNAME\b": lambda account: account.spare_table()},
    "release.md#Add an index": {r"\bNAME\b": lambda account: account.spare_table(), r"\bINDEX\b": "by_time"},
    "release.md#Deploy": {r"\bNAME\b": "farebox-prod"},
    "runbooks.md#Tearing a stack down": {r"\bNAME\b": lambda account: account.spare_table(), r"\bARN\b": lambda account: account.spare_secret()},
    "runbooks.md#Stolen administrator account": {r"\bBATCH\b": lambda account: account.batch},
    "runbooks.md#An expired certificate": {r"\bARN\b": lambda account: account.certificate()},
    "sell.md#Vouchers": {r"--creator ann\b": "--creator runbook"},
    "secrets.md": {r"\bKID\b": lambda account: account.replaced_key()},
}
# Commands that come first, by page and section.
BEFORE = {
    "accounts.md#Audit the balances": 'cp "$PROGRAMS/farebox" farebox',
    "first-deployment.md#A rehearsal by hand": f"TOPIC={OWN['AlarmTopicArn']}",
    "first-deployment.md#A rollback": "cp ../release/release.tar.gz ../earlier.tar.gz",
    "first-deployment.md#Production": "STACK=farebox-prod",
    "release.md#Release a new version": "git tag --delete v1.2.3",
    "release.md#The program farebox": f"STRIPE_KEY=arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:stripe-AbCdEf",
    "runbooks.md#Stolen administrator account": "farebox manage --stack farebox-prod models set prices.json --yes",
}
# Pages whose first block defines functions for all other commands of the page.
PROLOGUE = "first-deployment.md"
# Commands that must be refused, with a part of the refusal.
REFUSED = {("first-deployment.md", 'scripts/deploy dev --stack "$STACK"'): "farebox-prod has Protection=on"}
# What a reader types at a prompt.
TYPED = {r"Key: $": "sk-a-key", r"[Pp]assword.*: $": "a-long-password"}
