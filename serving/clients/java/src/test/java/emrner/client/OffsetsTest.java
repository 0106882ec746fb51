package emrner.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class OffsetsTest {
  @Test
  void supplementaryCharactersAreTwoUnits() {
    // A surrogate pair, another, a combining mark, NUL.
    String text = "a患𠮷😀e\u0301\0";
    int[] offsets = Offsets.utf16(text);
    assertArrayEquals(new int[] {0, 1, 2, 4, 6, 7, 8, 9}, offsets);
    int[] characters = text.codePoints().toArray();
    for (int i = 0; i < characters.length; i++) {
      assertEquals(Character.toString(characters[i]), text.substring(offsets[i], offsets[i + 1]));
    }
    assertArrayEquals(new int[] {0}, Offsets.utf16(""));
  }

  @Test
  void loneSurrogatesAreNotText() {
    assertTrue(Offsets.encodable("😀\ufffd"));
    assertFalse(Offsets.encodable("a\ud83d"));
    assertFalse(Offsets.encodable("\ude00\ud83d"));
  }
}
