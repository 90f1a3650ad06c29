"""The small backbone's facts, for whoever needs no more of it than these: names, sizes, the chat template."""

ARCHITECTURE = "MaiaLlavaForConditionalGeneration"
TOKENS = 9
SIDE, PATCH = 224, 74
"""Of the pictures. A stock LLaVA processor counts (SIDE // PATCH)^2 tokens: TOKENS."""
IMAGE_TOKEN = "<image>"
VOCABULARY = 49_216
"""Entries of the embeddings: those of SmolLM2 and the image token, padded to a multiple of 64."""
PICTURES = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}, "do_normalize": False}
"""Settings of the stock CLIP image processor: channels stay in 0..1, the tower does the rest."""
PROCESSOR = {"patch_size": PATCH, "vision_feature_select_strategy": "full", "num_additional_image_tokens": 0}
"""Settings of the stock LLaVA processor."""

TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['content'] is string %}
{{- message['content'] }}
{%- else %}
{%- for part in message['content'] %}
{{- '<image>' if part['type'] in ['image', 'image_url'] else part['text'] }}
{%- endfor %}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
"""SmolLM2's ChatML, with pictures in their places and without a system message of its own."""
