package emrner.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

class PlanTest {
  private static String text(int length) {
    return "𠮷".repeat(length);
  }

  @Test
  void requestsTakeWhatTheOptionsAllow() {
    assertEquals(List.of(), Plan.requests(List.of(), 3));
    assertEquals(List.of(List.of(0, 1, 2), List.of(3)), Plan.requests(List.of("a", "b", "c", "d"), 3));
    assertEquals(List.of(List.of(2, 1, 0), List.of(3)), Plan.requests(List.of("aa", "b", "", "cc"), 3));
  }

  @Test
  void paddingCounts() {
    int most = Plan.MAX_CHARACTERS;
    assertEquals(List.of(List.of(1), List.of(0)), Plan.requests(List.of(text(most / 2 + 1), "a"), 3));
    assertEquals(List.of(List.of(1, 0)), Plan.requests(List.of(text(most / 2), "a"), 3));
    assertEquals(
        List.of(List.of(1), List.of(2), List.of(0)), Plan.requests(List.of(text(most + 1), "a", text(most)), 3));
  }
}
