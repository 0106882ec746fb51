package emrner.client;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/** Divides texts into requests. */
final class Plan {
  /**
   * Maximum number of code points in a request, each text counted with the length of the longest: the server computes
   * on this many, and the development server limits them.
   */
  static final int MAX_CHARACTERS = 16_384;

  private Plan() {}

  /**
   * Returns the indices of the texts of each request. Texts of similar length are put together, so that there is little
   * padding. A text longer than {@link #MAX_CHARACTERS} is a request of its own.
   */
  static List<List<Integer>> requests(List<String> texts, int maxRecords) {
    int[] lengths = texts.stream().mapToInt(text -> text.codePointCount(0, text.length())).toArray();
    List<Integer> order =
        IntStream.range(0, lengths.length).boxed().sorted(Comparator.comparingInt(i -> lengths[i])).toList();
    List<List<Integer>> requests = new ArrayList<>();
    List<Integer> last = List.of();
    for (int place : order) {
      // Texts are sorted by length, so this one would be the longest.
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
