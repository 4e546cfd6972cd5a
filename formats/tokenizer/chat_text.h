/* chat_text.h -- the fixed words of a chat: parts of the input format of DeepSeek-V4, byte for byte.
 *
 * Source: vLLM 0.33.0, vllm/tokenizers/deepseek_v4_encoding.py, which is the encoder of the release.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_TOKENIZER_CHAT_TEXT_H
#define FORMATS_TOKENIZER_CHAT_TEXT_H

#define CHAT_BOS "<｜begin▁of▁sentence｜>"
#define CHAT_EOS "<｜end▁of▁sentence｜>"
#define CHAT_USER "<｜User｜>"
#define CHAT_ASSISTANT "<｜Assistant｜>"
#define CHAT_REMINDER "<｜latest_reminder｜>"
#define CHAT_THINK "<think>"
#define CHAT_THOUGHT "</think>"
#define CHAT_DSML "｜DSML｜"

#define CHAT_FORMAT \
	"## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n"

/* What begins a conversation in which answers begin with their reasoning, by enum chat_effort. */
#define CHAT_EFFORT_HIGH                                                                         \
	"Reasoning Effort: Absolute maximum with no shortcuts permitted.\n"                      \
	"You MUST be very thorough in your thinking and comprehensively decompose the problem "  \
	"to resolve the root cause, rigorously stress-testing your logic against all potential " \
	"paths, edge cases, and adversarial scenarios.\n"                                        \
	"Explicitly write out your entire deliberation process, documenting every intermediate " \
	"step, considered alternative, and rejected hypothesis to ensure absolutely no "         \
	"assumption is left unchecked.\n\n"
#define CHAT_EFFORT_MAX                                                                           \
	"Reasoning Effort: Beyond maximum — exhaustive, relentless, and uncompromising.\n"      \
	"You MUST reason with the utmost depth and rigor, leaving absolutely nothing to chance: " \
	"exhaustively decompose the problem into its most fundamental components, trace every "   \
	"causal chain to its root, and resolve the underlying cause rather than any surface "     \
	"symptom.\n"                                                                              \
	"Do not stop reasoning until you have independently verified the solution from multiple " \
	"angles and are certain that no assumption remains unchecked and no error remains "       \
	"undiscovered.\n\n"

/* Before and behind the schemas of tools, one in a line. */
#define CHAT_TOOLS_BEFORE                                                                          \
	"## Tools\n\n"                                                                             \
	"You have access to a set of tools to help answer the user's question. You can invoke "    \
	"tools by writing a \"<" CHAT_DSML "tool_calls>\" block like the following:\n\n"           \
	"<" CHAT_DSML "tool_calls>\n"                                                              \
	"<" CHAT_DSML "invoke name=\"$TOOL_NAME\">\n"                                              \
	"<" CHAT_DSML "parameter name=\"$PARAMETER_NAME\" string=\"true|false\">$PARAMETER_VALUE"  \
	"</" CHAT_DSML "parameter>\n"                                                              \
	"...\n"                                                                                    \
	"</" CHAT_DSML "invoke>\n"                                                                 \
	"<" CHAT_DSML "invoke name=\"$TOOL_NAME2\">\n"                                             \
	"...\n"                                                                                    \
	"</" CHAT_DSML "invoke>\n"                                                                 \
	"</" CHAT_DSML "tool_calls>\n\n"                                                           \
	"String parameters should be specified as is and set `string=\"true\"`. For all other "    \
	"types (numbers, booleans, arrays, objects), pass the value in JSON format and set "       \
	"`string=\"false\"`.\n\n"                                                                  \
	"If thinking_mode is enabled (triggered by " CHAT_THINK                                    \
	"), you MUST output your complete reasoning inside " CHAT_THINK "..." CHAT_THOUGHT         \
	" BEFORE any tool calls or final response.\n\n"                                            \
	"Otherwise, output directly after " CHAT_THOUGHT " with tool calls or final response.\n\n" \
	"### Available Tool Schemas\n\n"
#define CHAT_TOOLS_BEHIND                                                                           \
	"\n\nYou MUST strictly follow the above defined tool name and parameter schemas to invoke " \
	"tool calls.\n"

#endif
