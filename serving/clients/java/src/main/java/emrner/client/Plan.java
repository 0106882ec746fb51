package emrner.client;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/** Texts, parted into requests. */
final class Plan {
  /**
   * Most code points of a request, each text counted as long as the longest: that is what a server works on, and what the
   * development server limits.
   */
  static final int MAX_CHARACTERS = 16_384;

  private Plan() {}

  /**
   * For each request the places of its texts, which are of like length, so that little of it is padding. A text that is
   * longer than {@link #MAX_CHARACTERS} goes alone.
   */
  static List<List<Integer>> requests(List<String> texts, int maxRecords) {
    int[] lengths = texts.stream().mapToInt(text -> text.codePointCount(0, text.length())).toArray();
    List<Integer> order =
        IntStream.range(0, lengths.length).boxed().sorted(Comparator.comparingInt(i -> lengths[i])).toList();
    List<List<Integer>> requests = new ArrayList<>();
    List<Integer> last = List.of();
    for (int place : order) {
      // Lengths rise, so that this text would set the width.
      long padded = (last.size() + 1L) * lengths[place];
      if (requests.isEmpty() || last.size() == maxRecords || padded > MAX_CHARACTERS) {
        last = new ArrayList<>();
        requests.add(last);
      }
      last.add(place);
    }
    return requests;
  }
}
