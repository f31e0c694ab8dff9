"""What happens after a call: webhooks, commands, a summary by a model, uploads. No call ever waits for it."""
