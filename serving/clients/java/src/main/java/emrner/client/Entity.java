package emrner.client;

/**
 * A mention, with half-open offsets.
 *
 * @param start in Unicode code points, as Python's offsets are
 * @param end in Unicode code points
 * @param utf16Start in UTF-16 units: text.substring(utf16Start, utf16End) is the mention
 * @param utf16End in UTF-16 units
 * @param label label of the training data
 * @param score probability under the model
 */
public record Entity(int start, int end, int utf16Start, int utf16End, String label, float score) {}
