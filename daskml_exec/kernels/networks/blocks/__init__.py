"""Networks whose weight matrices are cut into blocks: shapes, first values, and training steps."""
