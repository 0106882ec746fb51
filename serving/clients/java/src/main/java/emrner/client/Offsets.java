package emrner.client;

import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/** Offsets of code points in the units of Java's strings. */
public final class Offsets {
  private Offsets() {}

  /**
   * Returns the offset in UTF-16 units of each code point of a text, followed by the length of the text.
   */
  public static int[] utf16(String text) {
    int[] offsets = new int[text.codePointCount(0, text.length()) + 1];
    int at = 0;
    for (int i = 0; at < text.length(); i++) {
      offsets[i] = at;
      at += Character.charCount(text.codePointAt(at));
    }
    offsets[offsets.length - 1] = at;
    return offsets;
  }

  /** Returns whether a text has no lone surrogate, so that UTF-8 can represent it. */
  static boolean encodable(String text) {
    try {
      StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
      return true;
    } catch (CharacterCodingException error) {
      return false;
    }
  }
}
